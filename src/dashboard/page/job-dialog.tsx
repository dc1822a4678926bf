import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { useAction } from './action.js';
import { useAnswer } from './answer.js';
import { Confirm, Dialog } from './dialog.js';
import { formatBytes, formatExact } from './format.js';
import type { ViewProps } from './frame.js';
import { hrefOf } from './route.js';
import { Problem } from './problem.js';
import type { JobDetail } from './shapes.js';
import { StateBadge } from './state-badge.js';
import { Time } from './time.js';

/** One job: what it is, what happened to it, what came of it, and what can be done about it. */
export function JobDialog(
  props: ViewProps & { readonly id: string; readonly onClose: () => void; readonly onChanged: () => void },
) {
  const { api, live, id, onClose, onChanged } = props;
  const { answer: job, problem, reload, put } = useAnswer(id, () => api.get<JobDetail>(`jobs/${id}`));
  const action = useAction();
  const [done, setDone] = useState<string>();
  const [isCancelling, setCancelling] = useState(false);
  const hasEnded = job !== undefined && job.finishedAt !== null;
  const endedNow = live.ended.includes(id);
  useEffect(() => {
    if (!hasEnded || endedNow) void reload();
  }, [id, hasEnded, endedNow, live.tick]);

  const change = async (how: 'retry' | 'cancel', doneText: string): Promise<void> => {
    put(await api.send<JobDetail>('POST', `jobs/${id}/${how}`));
    setDone(doneText);
    onChanged();
  };

  return (
    <Dialog title="Job" wide onClose={onClose}>
      <p class="mono job-id">{id}</p>
      <Problem text={problem ?? action.problem} />
      <div role="status">{done}</div>
      {job === undefined && problem === undefined && <p class="loading">Loading …</p>}
      {job !== undefined && (
        <>
          <Facts job={job} />
          <h3>Timeline</h3>
          <ol class="timeline">
            {job.timeline.map(({ at, text }) => (
              <li>
                <time dateTime={at} title={formatExact(at)}>
                  {clock(at)}
                </time>
                <span>{text}</span>
              </li>
            ))}
          </ol>
          <Results job={job} />
          <footer>
            {job.state === 'queued' && (
              <a class="button" href={hrefOf('explain', { container: job.containers.join(',') })}>
                Why does it wait?
              </a>
            )}
            {canRetry(job) && (
              <button
                type="button"
                class="primary"
                disabled={action.isBusy}
                onClick={() => void action.run(() => change('retry', 'The job starts anew.'))}
              >
                Retry
              </button>
            )}
            {!hasEnded && (
              <button type="button" class="danger" onClick={() => setCancelling(true)}>
                Cancel the job
              </button>
            )}
          </footer>
        </>
      )}
      {isCancelling && (
        <Confirm
          title="Cancel this job?"
          action="Cancel the job"
          onClose={() => setCancelling(false)}
          onConfirm={() => change('cancel', 'The job is cancelled.')}
        >
          <p>Its caller gets a failure. A node that has it runs on, and its result is ignored.</p>
        </Confirm>
      )}
    </Dialog>
  );
}

/** A stream is not run again: nobody listens any more. */
function canRetry({ kind, state }: JobDetail): boolean {
  return kind === 'job' && (state === 'failed' || state === 'cancelled');
}

function Facts({ job }: { readonly job: JobDetail }) {
  const { state, containers, caller, createdAt, finishedAt, retryAt, deadlineAt, generation, attempts } = job;
  return (
    <dl class="facts">
      <Fact name="Status">
        <StateBadge state={state} />
      </Fact>
      <Fact name="Containers">{containers.join(' → ')}</Fact>
      <Fact name="Caller">{caller}</Fact>
      <Fact name="Arrived">
        <Time at={createdAt} />
      </Fact>
      {retryAt !== null && (
        <Fact name="Goes again">
          <Time at={retryAt} />
        </Fact>
      )}
      <Fact name={finishedAt === null ? 'Given up' : 'Ended'}>
        <Time at={finishedAt ?? deadlineAt} />
      </Fact>
      <Fact name="Attempts">
        {attempts.length}
        {generation > 1 && `, started anew ${generation === 2 ? 'once' : `${generation - 1} times`}`}
      </Fact>
    </dl>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Results({ job: { results } }: { readonly job: JobDetail }) {
  if (results.length === 0) return null;
  return (
    <>
      <h3>{results.length === 1 ? 'Result' : 'Results'}</h3>
      {results.map(({ generation, bytes, preview }) => (
        <figure class="result">
          <figcaption>
            {results.length > 1 && `of run ${generation}, `}
            {formatBytes(bytes)}
            {bytes > new TextEncoder().encode(preview).length && ', its beginning'}
          </figcaption>
          {/* It scrolls, so the keyboard has to reach it. */}
          <pre tabIndex={0}>{preview}</pre>
        </figure>
      ))}
    </>
  );
}

function clock(at: string): string {
  const date = new Date(at);
  return `${date.toLocaleTimeString('en-GB')}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}
