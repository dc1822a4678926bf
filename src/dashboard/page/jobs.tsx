import type { TargetedSubmitEvent } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { useAnswer, type Answer } from './answer.js';
import { Confirm } from './dialog.js';
import { textOf } from './form-text.js';
import { formatDuration, formatNumber } from './format.js';
import type { ViewProps } from './frame.js';
import { JobDialog } from './job-dialog.js';
import { Paging } from './paging.js';
import { Problem } from './problem.js';
import { hrefOf } from './route.js';
import { JOB_STATES, type JobPage, type JobRow, type NodeRow } from './shapes.js';
import { StateBadge } from './state-badge.js';
import { TextField } from './text-field.js';
import { Time } from './time.js';

const PAGE = '50';
const FILTERS = ['status', 'node', 'container', 'caller'] as const;
const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;

type Filter = Readonly<Partial<Record<(typeof FILTERS)[number], string>>>;

/** Jobs, newest first, with filters and search by id. The open job is part of the address. */
export function JobsView(props: ViewProps & { readonly query: URLSearchParams }) {
  const { api, live, tell, query } = props;
  const filter = filterOf(query);
  const filterKey = JSON.stringify(filter);
  const open = query.get('job');
  /** Cursors of the pages up to this one; the first page needs none. */
  const [trail, setTrail] = useState<readonly string[]>([]);
  const [isRetrying, setRetrying] = useState(false);
  useEffect(() => setTrail([]), [filterKey]);
  const { answer: page, problem, isPending, reload } = useJobs(props, filter, trail.at(-1));
  const cursor = page?.cursor ?? undefined;
  const show = (job: string | undefined): void => {
    location.hash = hrefOf('jobs', { ...filter, job });
  };

  return (
    <section aria-labelledby="jobs-title">
      <div class="section-head">
        <h2 id="jobs-title">Jobs</h2>
        <IdSearch onFound={show} />
        {filter.status === 'failed' && (
          <button type="button" onClick={() => setRetrying(true)}>
            Retry all that match
          </button>
        )}
      </div>
      <FilterForm filter={filter} nodes={live.nodes} />
      <Problem text={problem} />
      <JobTable page={page} filter={filter} isPending={isPending} />
      {(trail.length > 0 || cursor !== undefined) && (
        <Paging
          label="Pages of jobs"
          previous="Newer"
          next="Older"
          place={`Page ${trail.length + 1}`}
          onPrevious={trail.length === 0 ? undefined : () => setTrail(trail.slice(0, -1))}
          onNext={cursor === undefined ? undefined : () => setTrail([...trail, cursor])}
        />
      )}
      {open !== null && (
        <JobDialog
          key={open}
          {...props}
          id={open}
          onClose={() => show(undefined)}
          onChanged={() => void reload()}
        />
      )}
      {isRetrying && (
        <Confirm
          title="Retry all failed jobs that match?"
          action="Retry all"
          onClose={() => setRetrying(false)}
          onConfirm={async () => {
            const { status: _, ...wanted } = filter;
            const { retried } = await api.send<{ retried: number }>('POST', 'jobs/retry', wanted);
            tell(retried === 1 ? 'One job starts anew' : `${formatNumber(retried)} jobs start anew`);
            await reload();
          }}
        >
          <p>
            Each but streams starts anew and may run a second time. Their former results stay in their
            timelines.
          </p>
        </Confirm>
      )}
    </section>
  );
}

function filterOf(query: URLSearchParams): Filter {
  return Object.fromEntries(FILTERS.flatMap((name) => (query.get(name) ? [[name, query.get(name)]] : [])));
}

/** A page of jobs; the first page is looked at again with each sample. */
function useJobs({ api, live }: ViewProps, filter: Filter, cursor: string | undefined): Answer<JobPage> {
  const question = JSON.stringify([filter, cursor]);
  const jobs = useAnswer(question, () => api.get<JobPage>('jobs', { ...filter, cursor, limit: PAGE }));
  useEffect(() => void jobs.reload(), [question, cursor === undefined ? live.tick : -1]);
  return jobs;
}

function IdSearch({ onFound }: { readonly onFound: (id: string) => void }) {
  const [problem, setProblem] = useState<string>();
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const id = textOf(event.currentTarget, 'id').toLowerCase();
    setProblem(UUID.test(id) ? undefined : 'A job id has 32 digits in five groups');
    if (UUID.test(id)) onFound(id);
  };
  return (
    <form class="search" role="search" onSubmit={submit}>
      <input name="id" type="search" aria-label="Find a job by its id" placeholder="Find a job by its id" />
      <button type="submit">Find</button>
      <Problem text={problem} />
    </form>
  );
}

function FilterForm({ filter, nodes }: { readonly filter: Filter; readonly nodes: readonly NodeRow[] }) {
  const apply = (form: HTMLFormElement): void => {
    location.hash = hrefOf('jobs', Object.fromEntries(FILTERS.map((name) => [name, textOf(form, name)])));
  };
  const containers = [...new Set(nodes.flatMap((node) => node.containers))].sort();
  const isUnknownNode = filter.node !== undefined && !nodes.some(({ id }) => id === filter.node);
  return (
    <form
      class="filters"
      aria-label="Filter jobs"
      onSubmit={(event) => {
        event.preventDefault();
        apply(event.currentTarget);
      }}
      onChange={(event) => apply(event.currentTarget)}
    >
      <label>
        Status
        <select name="status" value={filter.status ?? ''}>
          <option value="">all</option>
          {JOB_STATES.map((state) => (
            <option value={state}>{state}</option>
          ))}
        </select>
      </label>
      <label>
        Node
        <select name="node" value={filter.node ?? ''}>
          <option value="">all</option>
          {isUnknownNode && <option value={filter.node}>{filter.node}</option>}
          {nodes.map(({ id, name }) => (
            <option value={id}>{name}</option>
          ))}
        </select>
      </label>
      <label>
        Container
        <TextField
          name="container"
          list="known-containers"
          value={filter.container ?? ''}
          placeholder="all"
        />
        <datalist id="known-containers">
          {containers.map((container) => (
            <option value={container} />
          ))}
        </datalist>
      </label>
      <label>
        Caller
        <TextField name="caller" value={filter.caller ?? ''} placeholder="all" />
      </label>
      <a href={hrefOf('jobs')} class={Object.keys(filter).length === 0 ? 'clear unused' : 'clear'}>
        Clear
      </a>
    </form>
  );
}

function JobTable(props: {
  readonly page: JobPage | undefined;
  readonly filter: Filter;
  readonly isPending: boolean;
}) {
  const { page, filter, isPending } = props;
  if (page === undefined) return isPending ? <p class="loading">Loading …</p> : null;
  const isFiltered = Object.keys(filter).length > 0;
  return (
    <div class="table-frame" aria-busy={isPending}>
      <table class="cards jobs">
        <caption class="hidden">Jobs, newest first</caption>
        <thead>
          <tr>
            {['Job', 'Status', 'Containers', 'Caller', 'Failures', 'Arrived', 'Took'].map((title) => (
              <th scope="col">{title}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {page.jobs.map((job) => (
            <JobLine key={job.id} job={job} filter={filter} />
          ))}
        </tbody>
      </table>
      {page.jobs.length === 0 && (
        <p class="empty">
          {isFiltered
            ? 'No job fits the filter.'
            : 'No jobs yet. They show up here as applications hand them in.'}
        </p>
      )}
    </div>
  );
}

function JobLine({ job, filter }: { readonly job: JobRow; readonly filter: Filter }) {
  const { id, state, containers, caller, failures, createdAt, finishedAt } = job;
  const until = finishedAt === null ? Date.now() : Date.parse(finishedAt);
  return (
    <tr>
      <th scope="row" data-label="Job">
        <a class="mono" href={hrefOf('jobs', { ...filter, job: id })}>
          {id}
        </a>
      </th>
      <td data-label="Status">
        <StateBadge state={state} />
      </td>
      <td data-label="Containers">{containers.join(' → ')}</td>
      <td data-label="Caller">{caller}</td>
      <td data-label="Failures">{formatNumber(failures)}</td>
      <td data-label="Arrived">
        <Time at={createdAt} />
      </td>
      <td data-label="Took">
        {formatDuration(Math.max(0, until - Date.parse(createdAt)))}
        {finishedAt === null ? ' so far' : ''}
      </td>
    </tr>
  );
}
