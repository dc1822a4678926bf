import { performance } from 'node:perf_hooks';
import type { Scheduler } from '../dispatch/scheduler.js';
import type { PairSummary } from '../dispatch/policy/explain.js';
import type { FleetNode } from '../nodes/node.js';

/** Kinds of jobs shown of a node, those that ran last. */
const KINDS_SHOWN = 20;

/** How a node fares, as only the replica knows that works with it. JSON: it is told to the others as it is. */
export interface NodeStatus {
  readonly lastSeenAt: string | null;
  readonly lastError: { readonly message: string; readonly at: string } | null;
  /** How long the last /info took. */
  readonly latencyMs: number | null;
  /** Our unfinished jobs there. */
  readonly inFlight: number;
  /** Unfinished work of others there. */
  readonly foreign: number;
  /** Slots of the kind of jobs for which most are known; null before the first. */
  readonly slots: number | null;
  /** Whether all slots are still being found out. */
  readonly starting: boolean;
  /** How many times as fast as the fleet it runs jobs, over the kinds that it runs; null before the first. */
  readonly speed: number | null;
  /** Expected time in service of the kind that ran last, in ms. */
  readonly serviceMs: number | null;
  readonly kinds: readonly PairSummary[];
  /** For each route that the node limits: requests left of those allowed, and how long the next one has to wait. */
  readonly budget: Readonly<Record<string, { limit: number; left: number; waitMs: number }>>;
}

/** What a replica of another version does not tell. */
const UNKNOWN: NodeStatus = {
  lastSeenAt: null,
  lastError: null,
  latencyMs: null,
  inFlight: 0,
  foreign: 0,
  slots: null,
  starting: true,
  speed: null,
  serviceMs: null,
  kinds: [],
  budget: {},
};

/** How a node fares: known here if this replica works with it, else as the one that does said last. */
export function statusOf(node: FleetNode, scheduler: Scheduler): NodeStatus {
  const told = toldOf(node);
  if (told !== undefined) return { ...UNKNOWN, ...told };
  const { lastSeenAt, lastError, latencyMs } = node;
  const kinds = scheduler.pairsOf(node.id).slice(0, KINDS_SHOWN);
  const proven = kinds.filter(({ starting }) => !starting);
  const logSpeed = kinds.reduce((sum, { speed }) => sum + Math.log(speed), 0) / kinds.length;
  return {
    lastSeenAt: lastSeenAt?.toISOString() ?? null,
    lastError:
      lastError === undefined ? null : { message: lastError.message, at: lastError.at.toISOString() },
    latencyMs: latencyMs === undefined ? null : Math.round(latencyMs * 10) / 10,
    ...scheduler.loadOf(node.id),
    slots:
      kinds.length === 0
        ? null
        : Math.max(...(proven.length === 0 ? kinds : proven).map(({ slots }) => slots)),
    starting: proven.length === 0,
    speed: kinds.length === 0 ? null : Math.round(Math.exp(logSpeed) * 100) / 100,
    serviceMs: kinds[0] === undefined ? null : Math.round(kinds[0].serviceMs),
    kinds,
    budget: budgetOf(node),
  };
}

/**
 * What is known here that keeps a node from new jobs, whichever replica works with it; undefined if nothing is. That
 * nobody has looked at it yet is known only of nodes that are worked with here.
 */
export function whyUnavailable(node: FleetNode): string | undefined {
  const { state, approved } = node.config;
  if (!approved) return 'an operator has to approve it first';
  if (state !== 'active') return state === 'draining' ? 'it is draining' : 'it is being removed';
  if (node.health === 'unknown') return node.leased ? 'it was not looked at yet' : undefined;
  if (node.health === 'up') return undefined;
  const { lastError } = toldOf(node) ?? node;
  return `it is down: ${lastError?.message ?? 'no answer'}`;
}

/** What the replica that works with a node said of it; undefined of a node that is worked with here. */
function toldOf({ lease, toldStatus }: FleetNode): Partial<NodeStatus> | undefined {
  return lease === undefined ? (toldStatus as Partial<NodeStatus> | undefined) : undefined;
}

/** For each route that the node limits: what is left, and how long the next request has to wait. */
export function budgetOf({ budget }: FleetNode): NodeStatus['budget'] {
  return Object.fromEntries(budget.view(performance.now()));
}
