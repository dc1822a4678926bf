import { useMemo, useState } from 'preact/hooks';
import { formatDuration, formatNumber } from './format.js';
import type { ViewProps } from './frame.js';
import type { LiveFeed } from './live.js';
import { NodeForm, RemoveNode } from './node-dialogs.js';
import {
  arranged,
  loadOf,
  statusOf,
  tightestBudget,
  type NodeStatus,
  type Order,
  type SortKey,
} from './node-order.js';
import { Paging } from './paging.js';
import { hrefOf } from './route.js';
import type { NodeDetail, NodeRow } from './shapes.js';
import { Time } from './time.js';

const PAGE = 50;

const COLUMNS: readonly { readonly title: string; readonly sortKey?: SortKey; readonly about?: string }[] = [
  { title: 'Node', sortKey: 'name' },
  { title: 'Status', sortKey: 'status' },
  { title: 'In flight', sortKey: 'load', about: 'our jobs there, of the slots that it was found to have' },
  { title: 'Speed', sortKey: 'speed', about: 'against the fleet, and the time in service of what ran last' },
  { title: 'Budget', sortKey: 'budget', about: 'requests left of those that its rate limit allows' },
  { title: 'Weight, cap', sortKey: 'weight' },
  { title: 'Last error' },
  { title: 'Actions' },
];

type Open = { readonly what: 'register' } | { readonly what: 'edit' | 'remove'; readonly id: string };

/** All nodes, with what can be done to them. */
export function NodesPanel(props: ViewProps & { readonly feed: LiveFeed }) {
  const { live, api, act, feed } = props;
  const [order, setOrder] = useState<Order>({ key: 'name', isDescending: false });
  const [text, setText] = useState('');
  const [page, setPage] = useState(0);
  const [open, setOpen] = useState<Open>();
  const rows = useMemo(() => arranged(live.nodes, text, order), [live.nodes, text, order]);
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  const current = Math.min(page, pages - 1);
  const chosen = open !== undefined && 'id' in open ? live.nodes.find(({ id }) => id === open.id) : undefined;
  const close = (): void => setOpen(undefined);
  const change = (node: NodeRow, action: string, done: string): void =>
    void act(
      async () => feed.nodeChanged(await api.send<NodeDetail>('POST', `nodes/${node.id}/${action}`)),
      `${node.name} ${done}`,
    );

  return (
    <section aria-labelledby="nodes-title">
      <div class="section-head">
        <h2 id="nodes-title">Nodes</h2>
        <Counts nodes={live.nodes} />
        <input
          type="search"
          aria-label="Filter nodes"
          placeholder="Filter by name, container, status"
          value={text}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setPage(0);
          }}
        />
        <button type="button" class="primary" onClick={() => setOpen({ what: 'register' })}>
          Register a node
        </button>
      </div>
      <div class="table-frame">
        <table class="cards nodes">
          <caption class="hidden">Nodes, sortable by column</caption>
          <thead>
            <tr>
              {COLUMNS.map((column) => (
                <Heading {...column} order={order} onOrder={setOrder} />
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(current * PAGE, (current + 1) * PAGE).map((node) => (
              <NodeLine
                key={node.id}
                node={node}
                onChange={change}
                onEdit={() => setOpen({ what: 'edit', id: node.id })}
                onRemove={() => setOpen({ what: 'remove', id: node.id })}
              />
            ))}
          </tbody>
        </table>
        {rows.length === 0 && live.nodesKnown && (
          <p class="empty">
            {live.nodes.length === 0
              ? 'No nodes yet. Register one with its address, such as http://10.0.0.5:4000.'
              : 'No node fits the filter.'}
          </p>
        )}
      </div>
      {pages > 1 && (
        <Paging
          label="Pages of nodes"
          previous="Previous"
          next="Next"
          place={`${current * PAGE + 1}–${Math.min(rows.length, (current + 1) * PAGE)} of ${rows.length}`}
          onPrevious={current === 0 ? undefined : () => setPage(current - 1)}
          onNext={current === pages - 1 ? undefined : () => setPage(current + 1)}
        />
      )}
      {open?.what === 'register' && <NodeForm {...props} onClose={close} />}
      {open?.what === 'edit' && chosen !== undefined && <NodeForm {...props} node={chosen} onClose={close} />}
      {open?.what === 'remove' && chosen !== undefined && (
        <RemoveNode {...props} node={chosen} onClose={close} />
      )}
    </section>
  );
}

function Counts({ nodes }: { readonly nodes: readonly NodeRow[] }) {
  const counts = new Map<NodeStatus, number>();
  for (const node of nodes) counts.set(statusOf(node), (counts.get(statusOf(node)) ?? 0) + 1);
  const inFlight = nodes.reduce((sum, node) => sum + node.inFlight, 0);
  const slots = nodes.reduce((sum, node) => sum + (node.health === 'up' ? (node.slots ?? 0) : 0), 0);
  return (
    <p class="counts">
      {[...counts].map(([status, count]) => (
        <span class={`status ${toneOf(status)}`}>
          <span class="dot" aria-hidden="true" />
          {count} {status}
        </span>
      ))}
      {slots > 0 && (
        <span>
          {formatNumber(inFlight)} in flight on {formatNumber(slots)} slots
        </span>
      )}
    </p>
  );
}

function Heading(props: {
  readonly title: string;
  readonly sortKey?: SortKey;
  readonly about?: string;
  readonly order: Order;
  readonly onOrder: (order: Order) => void;
}) {
  const { title, about, sortKey: key, order, onOrder } = props;
  if (key === undefined) return <th scope="col">{title}</th>;
  const isSorted = order.key === key;
  const direction = order.isDescending ? 'descending' : 'ascending';
  return (
    <th scope="col" aria-sort={isSorted ? direction : undefined} title={about}>
      <button
        type="button"
        class="sort"
        onClick={() => onOrder({ key, isDescending: isSorted ? !order.isDescending : key === 'load' })}
      >
        {title}
        <span aria-hidden="true">{isSorted ? (order.isDescending ? ' ↓' : ' ↑') : ''}</span>
      </button>
    </th>
  );
}

const TONES: Readonly<Record<NodeStatus, string>> = {
  up: 'ok',
  down: 'bad',
  unknown: 'muted',
  draining: 'warn',
  removing: 'warn',
  'waits for approval': 'warn',
};

function toneOf(status: NodeStatus): string {
  return TONES[status];
}

function NodeLine(props: {
  readonly node: NodeRow;
  readonly onChange: (node: NodeRow, action: string, done: string) => void;
  readonly onEdit: () => void;
  readonly onRemove: () => void;
}) {
  const { node, onChange } = props;
  const status = statusOf(node);
  const isActive = node.state === 'active';
  return (
    <tr>
      <th scope="row" data-label="Node">
        <a href={hrefOf('jobs', { node: node.id })} title={`Jobs of ${node.name}`}>
          {node.name}
        </a>
        <span class="sub" title={node.url}>
          {node.url}
        </span>
      </th>
      <td data-label="Status">
        <span class={`status ${toneOf(status)}`}>
          <span class="dot" aria-hidden="true" />
          {status}
        </span>
        {node.health === 'down' && status !== 'down' && <span class="sub">down</span>}
      </td>
      <td data-label="In flight">
        <Load node={node} />
      </td>
      <td data-label="Speed">
        {node.speed === null ? '–' : `${formatNumber(node.speed)}×`}
        {node.serviceMs !== null && <span class="sub">{formatDuration(node.serviceMs)}</span>}
      </td>
      <td data-label="Budget">
        <BudgetCell node={node} />
      </td>
      <td data-label="Weight, cap">
        {node.weight}
        <span class="sub">{node.maxInFlight === null ? 'no cap' : `cap ${node.maxInFlight}`}</span>
      </td>
      <td data-label="Last error" class="error-cell">
        {node.lastError === null ? (
          <span class="muted">none</span>
        ) : (
          <>
            <span class="clip" title={node.lastError.message}>
              {node.lastError.message}
            </span>
            <span class="sub">
              <Time at={node.lastError.at} />
            </span>
          </>
        )}
      </td>
      <td data-label="Actions">
        <div class="actions">
          {!node.approved && (
            <button
              type="button"
              aria-label={`Approve ${node.name}`}
              onClick={() => onChange(node, 'approve', 'is approved')}
            >
              Approve
            </button>
          )}
          {isActive ? (
            <button
              type="button"
              aria-label={`Drain ${node.name}`}
              onClick={() => onChange(node, 'drain', 'gets no new jobs')}
            >
              Drain
            </button>
          ) : (
            <button
              type="button"
              aria-label={`Resume ${node.name}`}
              onClick={() => onChange(node, 'resume', 'gets jobs again')}
            >
              Resume
            </button>
          )}
          <button type="button" aria-label={`Edit ${node.name}`} onClick={props.onEdit}>
            Edit
          </button>
          <button type="button" aria-label={`Remove ${node.name}`} onClick={props.onRemove}>
            Remove
          </button>
        </div>
      </td>
    </tr>
  );
}

function Load({ node }: { readonly node: NodeRow }) {
  const { inFlight, slots, starting, foreign } = node;
  return (
    <>
      <span class="load">
        <meter min={0} max={1} value={Math.min(1, loadOf(node))} aria-label={`Load of ${node.name}`} />
        <span>
          {inFlight} / {slots ?? '?'}
        </span>
      </span>
      <span class="sub">
        {[slots !== null && starting ? 'finding slots' : '', foreign > 0 ? `${foreign} of others` : '']
          .filter((one) => one !== '')
          .join(', ')}
      </span>
    </>
  );
}

function BudgetCell({ node }: { readonly node: NodeRow }) {
  const budget = tightestBudget(node);
  if (budget === undefined) return <span class="muted">no limit</span>;
  return (
    <>
      <span title={`route ${budget.route}`}>
        {budget.left} / {budget.limit}
      </span>
      {budget.waitMs > 0 && <span class="sub">next in {formatDuration(budget.waitMs)}</span>}
    </>
  );
}
