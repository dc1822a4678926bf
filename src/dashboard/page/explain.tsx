import type { TargetedSubmitEvent } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { useAnswer } from './answer.js';
import { mayHaveIt, verdictOf } from './explain-words.js';
import { textOf } from './form-text.js';
import { formatDuration, formatNumber } from './format.js';
import type { ViewProps } from './frame.js';
import { Paging } from './paging.js';
import { Problem } from './problem.js';
import { hrefOf } from './route.js';
import type { ExplainedNode, Explanation } from './shapes.js';
import { TextField } from './text-field.js';

const PAGE = 50;

/** Why jobs for these containers wait, or where the next one goes: each node with its reason. */
export function ExplainView({ api, live, query }: ViewProps & { readonly query: URLSearchParams }) {
  const wanted = query.get('container') ?? '';
  const containers = containersOf(wanted);
  const question = JSON.stringify(containers);
  const { answer, problem, isPending, reload } = useAnswer(question, () =>
    api.get<Explanation>('explain', { container: containers }),
  );
  useEffect(() => {
    if (containers.length > 0) void reload();
  }, [question, live.tick]);
  const known = [...new Set(live.nodes.flatMap((node) => node.containers))].sort();
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>): void => {
    event.preventDefault();
    location.hash = hrefOf('explain', {
      container: textOf(event.currentTarget, 'container'),
    });
  };
  return (
    <section aria-labelledby="explain-title">
      <div class="section-head">
        <h2 id="explain-title">Why do jobs wait?</h2>
      </div>
      <form class="filters" onSubmit={submit}>
        <label>
          Containers
          <TextField
            name="container"
            list="explain-containers"
            value={wanted}
            placeholder="a container, or a chain: a,b"
            required
          />
          <datalist id="explain-containers">
            {known.map((container) => (
              <option value={container} />
            ))}
          </datalist>
        </label>
        <button type="submit" class="primary">
          Explain
        </button>
      </form>
      <Problem text={problem} />
      {answer === undefined || containers.length === 0 ? (
        <p class="empty">
          Name a container to see, for each node, whether it may have such a job now or why not, and what is
          expected.
        </p>
      ) : (
        <ExplanationTable explanation={answer} isPending={isPending} />
      )}
    </section>
  );
}

function containersOf(text: string): string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

function ExplanationTable(props: { readonly explanation: Explanation; readonly isPending: boolean }) {
  const { explanation, isPending } = props;
  const { choice, waiting, nodes } = explanation;
  const [page, setPage] = useState(0);
  const pages = Math.max(1, Math.ceil(nodes.length / PAGE));
  const current = Math.min(page, pages - 1);
  // The explanation counts one more job, the one that would come now.
  const others = Math.max(0, waiting - 1);
  return (
    <>
      <p class="verdict">
        {verdictOf(explanation)}
        {others === 0
          ? '; none waits now.'
          : `; ${formatNumber(others)} ${others === 1 ? 'waits' : 'wait'} now.`}
      </p>
      <div class="table-frame" aria-busy={isPending}>
        <table class="cards explain">
          <caption class="hidden">Nodes for {explanation.containers.join(', ')}</caption>
          <thead>
            <tr>
              {['Node', 'May have it', 'Expected', 'In flight', 'Slots', 'Window', 'Of others', 'Budget'].map(
                (title) => (
                  <th scope="col">{title}</th>
                ),
              )}
            </tr>
          </thead>
          <tbody>
            {nodes.slice(current * PAGE, (current + 1) * PAGE).map((row) => (
              <ExplainLine key={row.node.id} row={row} isChosen={row.node.id === choice?.id} />
            ))}
          </tbody>
        </table>
        {nodes.length === 0 && <p class="empty">No nodes are registered.</p>}
      </div>
      {pages > 1 && (
        <Paging
          label="Pages of nodes"
          previous="Previous"
          next="Next"
          place={`Page ${current + 1} of ${pages}`}
          onPrevious={current === 0 ? undefined : () => setPage(current - 1)}
          onNext={current === pages - 1 ? undefined : () => setPage(current + 1)}
        />
      )}
    </>
  );
}

function ExplainLine({ row, isChosen }: { readonly row: ExplainedNode; readonly isChosen: boolean }) {
  const {
    node,
    eligible,
    expectedMs,
    serviceMs,
    slots,
    window: room,
    outstanding,
    foreign,
    budgetInMs,
  } = row;
  return (
    <tr>
      <th scope="row" data-label="Node">
        {node.name ?? node.id}
        {isChosen && <span class="sub">the next job goes here</span>}
      </th>
      <td data-label="May have it">
        <span class={`status ${eligible ? 'ok' : 'muted'}`}>
          <span class="dot" aria-hidden="true" />
          {mayHaveIt(row)}
        </span>
      </td>
      <td data-label="Expected">
        {formatDuration(expectedMs)}
        {serviceMs !== undefined && <span class="sub">{formatDuration(serviceMs)} of service</span>}
      </td>
      <td data-label="In flight">{formatNumber(outstanding)}</td>
      <td data-label="Slots">{formatNumber(slots)}</td>
      <td data-label="Window">{room === null ? 'no limit' : formatNumber(room)}</td>
      <td data-label="Of others">{formatNumber(foreign)}</td>
      <td data-label="Budget">{budgetInMs > 0 ? `next in ${formatDuration(budgetInMs)}` : 'free'}</td>
    </tr>
  );
}
