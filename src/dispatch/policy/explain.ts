import type { Barrier } from './gate.js';
import type { Kind } from './kind.js';
import type { NodeState } from './node-state.js';
import type { Pair } from './pair.js';

/** Why a node is not eligible that takes no jobs at all; who knows the node knows better why. */
export const UNAVAILABLE = 'it takes no jobs now';
/** Of a node that this replica does not work with: here nothing can be said of its prospects. */
export const ELSEWHERE = 'another replica decides about it';

/** How a node stands with a kind of job. Times in ms. */
export interface NodeExplanation {
  readonly nodeId: string;
  /** Why this replica gives it no such job now; undefined if it may. */
  readonly notEligible: string | undefined;
  readonly expectedMs: number | undefined;
  readonly serviceMs: number | undefined;
  readonly slots: number | undefined;
  /** Whether the slots are still being found out. */
  readonly starting: boolean | undefined;
  /** Null where the rule sets no limit. */
  readonly window: number | null | undefined;
  readonly outstanding: number;
  readonly foreign: number;
  /** How long its rate limit makes the next request wait. */
  readonly budgetInMs: number;
}

/** What is known of one kind of job on one node. Times in ms. */
export interface PairSummary {
  readonly containers: readonly string[];
  readonly slots: number;
  readonly starting: boolean;
  /** Null where the rule sets no limit. */
  readonly window: number | null;
  readonly serviceMs: number;
  /** How many times as fast as the fleet it runs them. */
  readonly speed: number;
  readonly outstanding: number;
}

export interface Explanation {
  readonly containers: readonly string[];
  /** The node of this replica that another job would go to now; undefined if it would be held. */
  readonly choice: string | undefined;
  /** Jobs that wait for these containers, another one included. */
  readonly waiting: number;
  readonly nodes: readonly NodeExplanation[];
}

/** What the policy knows of a pair that the pair itself does not. */
export interface PairOutlook {
  readonly barrier: Barrier | undefined;
  readonly window: number;
}

/** @param outlookOf asked for pairs of nodes that run the containers */
export function explanationOf(
  nodes: Iterable<NodeState>,
  kind: Kind,
  choice: Pair | undefined,
  waiting: number,
  outlookOf: (pair: Pair) => PairOutlook,
  nowMs: number,
): Explanation {
  const rows = [...nodes].map((node): NodeExplanation => {
    const pair = node.pairs.get(kind.key);
    const outlook = pair === undefined ? undefined : outlookOf(pair);
    return {
      nodeId: node.view.id,
      notEligible: whyNot(node, pair, kind, outlook?.barrier, nowMs),
      expectedMs: pair?.expectedMs(nowMs),
      serviceMs: pair?.serviceMs,
      slots: pair?.slots,
      starting: pair?.learner.starting,
      window: outlook === undefined ? undefined : finite(outlook.window),
      outstanding: node.outstanding,
      foreign: node.foreign,
      budgetInMs: Math.max(0, node.budgetAtMs - nowMs),
    };
  });
  return { containers: kind.containers, choice: choice?.node.view.id, waiting, nodes: rows };
}

/** What is known of a node's pairs, those that ran last first. */
export function pairSummaries(pairs: Iterable<Pair>, windowOf: (pair: Pair) => number): PairSummary[] {
  const known = [...pairs].filter(({ kind, count }) => kind.work.known || count > 0);
  known.sort((a, b) => b.lastSentMs - a.lastSentMs);
  return known.map((pair) => ({
    containers: pair.kind.containers,
    slots: pair.slots,
    starting: pair.learner.starting,
    window: finite(windowOf(pair)),
    serviceMs: pair.serviceMs,
    speed: pair.kind.work.meanMs / (pair.serviceMs * pair.node.view.weight),
    outstanding: pair.count,
  }));
}

function finite(window: number): number | null {
  return Number.isFinite(window) ? window : null;
}

function whyNot(
  node: NodeState,
  pair: Pair | undefined,
  kind: Kind,
  barrier: Barrier | undefined,
  nowMs: number,
): string | undefined {
  if (!node.runs(kind.containers)) return 'it does not run these containers';
  if (node.view.elsewhere === true) return ELSEWHERE;
  if (!node.view.available) return UNAVAILABLE;
  const secondsTo = (untilMs: number): string =>
    `${Math.max(1, Math.ceil((untilMs - nowMs) / 1_000))} s more`;
  switch (barrier) {
    case undefined:
      return undefined;
    case 'paused':
      return `it asked for a pause, ${secondsTo(node.pausedUntilMs)}`;
    case 'over budget':
      return `its rate limit is spent, ${secondsTo(node.budgetAtMs)}`;
    case 'node ejected':
      return `it is ejected after failures, ${secondsTo(node.breaker.nextChangeAt(nowMs, kind.panic))}`;
    case 'containers ejected':
      return `these containers failed there, ${secondsTo(pair?.breaker.nextChangeAt(nowMs, kind.panic) ?? 0)}`;
    case 'on trial':
      return 'one job tries whether it works again';
    case 'stands still':
      return 'nothing has ended there for long';
    case 'at cap':
      return "it is at the operator's maxInFlight";
    case 'unanswered':
      return 'too many submissions are not answered yet';
    case 'window full':
      return 'its window is full';
    case 'elsewhere':
    case 'unavailable':
      return barrier;
  }
}
