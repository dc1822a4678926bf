import type { Budget, NodeRow } from './shapes.js';

/** Columns that nodes can be sorted by. */
export const SORTABLE = ['name', 'status', 'load', 'speed', 'budget', 'weight'] as const;
export type SortKey = (typeof SORTABLE)[number];

export interface Order {
  readonly key: SortKey;
  readonly isDescending: boolean;
}

/** What a node is doing, in one word: what the operator decided goes before its health, unless it is down. */
export type NodeStatus = 'up' | 'down' | 'unknown' | 'draining' | 'removing' | 'waits for approval';

export function statusOf({ state, health, approved }: NodeRow): NodeStatus {
  if (state === 'removing' || state === 'draining') return state;
  if (!approved) return 'waits for approval';
  return health;
}

/** Worst first. */
const SEVERITY: readonly NodeStatus[] = [
  'down',
  'waits for approval',
  'removing',
  'draining',
  'unknown',
  'up',
];

/** How much of its slots our jobs take; more than 1 when more are there than it works on at a time. */
export function loadOf({ inFlight, slots }: NodeRow): number {
  return inFlight / Math.max(1, slots ?? 1);
}

/** Of the routes that the node limits, the one of which least is left. */
export function tightestBudget({ budget }: NodeRow): (Budget & { readonly route: string }) | undefined {
  let tightest: (Budget & { readonly route: string }) | undefined;
  for (const [route, one] of Object.entries(budget)) {
    const isTighter = tightest === undefined || one.left / one.limit < tightest.left / tightest.limit;
    if (isTighter) tightest = { ...one, route };
  }
  return tightest;
}

const VALUES: Readonly<Record<SortKey, (node: NodeRow) => number | string>> = {
  name: ({ name }) => name,
  status: (node) => SEVERITY.indexOf(statusOf(node)),
  load: loadOf,
  speed: ({ speed }) => speed ?? -1,
  budget: (node) => {
    const budget = tightestBudget(node);
    return budget === undefined ? 1 : budget.left / budget.limit;
  },
  weight: ({ weight }) => weight,
};

const names = new Intl.Collator('en', { numeric: true });

/** Nodes that hold the text in their name, address, containers or status, in order. */
export function arranged(nodes: readonly NodeRow[], text: string, { key, isDescending }: Order): NodeRow[] {
  const wanted = text.trim().toLowerCase();
  const found = nodes.filter((node) =>
    [node.name, node.url, statusOf(node), ...node.containers].some((one) =>
      one.toLowerCase().includes(wanted),
    ),
  );
  const valueOf = VALUES[key];
  const compare = (a: NodeRow, b: NodeRow): number => {
    const [x, y] = [valueOf(a), valueOf(b)];
    return typeof x === 'number' && typeof y === 'number' ? x - y : names.compare(String(x), String(y));
  };
  return found.sort(
    (a, b) => (isDescending ? compare(b, a) : compare(a, b)) || names.compare(a.name, b.name),
  );
}
