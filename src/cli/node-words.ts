import type { NodeRow } from './api.js';
import { harmless, type Screen, type Style } from './screen.js';
import { pairs, table } from './table.js';
import { age, count, span } from './units.js';

const HEALTH_STYLE: Readonly<Record<string, Style>> = { up: 'good', down: 'bad' };

const REGISTERED_BY: Readonly<Record<NodeRow['source'], string>> = {
  admin: 'by an operator',
  env: 'by NODES',
  file: 'by NODES_FILE',
  explorer: 'by the node explorer',
};

/** All nodes as a table. */
export function nodeTable(nodes: readonly NodeRow[], screen: Screen): string {
  if (nodes.length === 0) {
    return 'No nodes are registered. `infernet-gateway nodes add <url>` registers one.';
  }
  const now = Date.now();
  return table<NodeRow>(
    [
      { title: 'NAME', value: ({ name }) => name },
      {
        title: 'HEALTH',
        value: ({ health }) => health,
        style: ({ health }) => HEALTH_STYLE[health] ?? 'warn',
      },
      {
        title: 'STATE',
        value: stateOf,
        style: (node) => (stateOf(node) === 'active' ? undefined : 'warn'),
      },
      { title: 'JOBS', value: inFlight, align: 'right' },
      { title: 'WEIGHT', value: ({ weight }) => String(weight), align: 'right', dispensable: 4 },
      { title: 'FOREIGN', value: ({ foreign }) => String(foreign), align: 'right', dispensable: 5 },
      {
        title: 'CONTAINERS',
        value: ({ containers }) => String(containers.length),
        align: 'right',
        dispensable: 6,
      },
      { title: 'URL', value: ({ url }) => url, dispensable: 3 },
      {
        title: 'LAST ERROR',
        value: ({ lastError }) =>
          lastError === null ? '' : `${age(lastError.at, now)} ago: ${lastError.message}`,
        dispensable: 7,
      },
    ],
    nodes,
    screen,
  );
}

/** One node in full. */
export function nodeDetails(node: NodeRow, screen: Screen): string {
  const now = Date.now();
  const entries: [string, string][] = [
    ['name', node.name],
    ['id', node.id],
    ['url', node.url],
    ['state', stateOf(node)],
    [
      'health',
      node.lastSeenAt === null ? node.health : `${node.health}, seen ${age(node.lastSeenAt, now)} ago`,
    ],
    ['version', node.version ?? 'not known'],
    ['latency', node.latencyMs === null ? 'not known' : span(node.latencyMs)],
    ['jobs in flight', inFlight(node)],
    ['jobs of others', String(node.foreign)],
    ['weight', String(node.weight)],
    ['containers', node.containers.map(({ id }) => id).join(', ') || 'none known'],
  ];
  const labels = Object.entries(node.labels).map(([key, value]) => `${key}=${value}`);
  if (labels.length > 0) entries.push(['labels', labels.join(', ')]);
  if (node.headers.length > 0) entries.push(['headers', `${node.headers.join(', ')} (values are not shown)`]);
  entries.push(['registered', REGISTERED_BY[node.source]]);
  if (node.lastError !== null) {
    entries.push(['last error', `${age(node.lastError.at, now)} ago: ${node.lastError.message}`]);
  }
  const body = pairs(entries, screen);
  return node.kinds.length === 0 ? body : `${body}\n\n${learned(node, screen)}`;
}

/** One node in a line, after something was done to it. */
export function nodeWords(node: NodeRow): string {
  const { name, url, health, containers, lastError } = node;
  const state = stateOf(node);
  const condition =
    health === 'up'
      ? `up, ${count(containers.length, 'container')}`
      : `${health}${lastError === null ? '' : ` (${lastError.message})`}; it gets jobs when it comes up`;
  return harmless(`${name} at ${url}: ${state === 'active' ? '' : `${state}, `}${condition}`);
}

/** One that does not get jobs because it is draining, say, is no matter of approval yet. */
function stateOf({ state, approved }: NodeRow): string {
  return state === 'active' && !approved ? 'not approved' : state;
}

function learned({ kinds }: NodeRow, screen: Screen): string {
  return table(
    [
      { title: 'CONTAINERS', value: ({ containers }) => containers.join(' → ') },
      { title: 'SERVICE', value: ({ serviceMs }) => span(serviceMs), align: 'right' },
      {
        title: 'SLOTS',
        value: ({ slots, starting }) => (starting ? `${slots}, still learning` : String(slots)),
        align: 'right',
      },
      { title: 'JOBS', value: ({ outstanding }) => String(outstanding), align: 'right' },
    ],
    kinds,
    screen,
  );
}

function inFlight({ inFlight: jobs, maxInFlight }: NodeRow): string {
  return maxInFlight === null ? String(jobs) : `${jobs} of ${maxInFlight}`;
}
