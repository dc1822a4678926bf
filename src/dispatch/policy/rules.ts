import { worthHolding } from './hold-rule.js';
import type { Kind } from './kind.js';
import type { Pair } from './pair.js';

/** A job that wants a node. */
export interface Request {
  readonly kind: Kind;
  /** Jobs that wait for the same nodes, this one included. */
  readonly waiting: number;
  /** Nodes that the job may not go to. */
  readonly barred: readonly string[];
  /** Nodes that this trip of the job has been to. Such a job is not made to wait for a better node. */
  readonly tried: ReadonlySet<string> | undefined;
  /** How long the first in line has been first; it is not held for longer than it would take. */
  readonly waitedMs: number;
  /** It takes what there is now: neither a faster node nor another replica is waited for. */
  readonly urgent: boolean;
  readonly nowMs: number;
}

export type Why = 'best' | 'canary' | 'retry' | 'least-pending' | 'round-robin';

export interface Choice {
  readonly pair: Pair;
  readonly why: Why;
}

export type RuleName = 'learned' | 'least-pending' | 'round-robin';

/** Chooses among nodes. `isOpen` tells whether a node may be given the job at all right now. */
export interface Rule {
  choose(request: Request, isOpen: (pair: Pair) => boolean): Choice | undefined;
  /** The choice is carried out. */
  took(choice: Choice): void;
  /** How many jobs may be on a node by this rule. */
  window(pair: Pair): number;
}

/** Another replica has to be told, so its nodes look this much slower, in ms. */
const HANDOVER_MS = 20;
/** At most this share of all jobs tries idle nodes. */
const CANARY_SHARE = 0.02;

/** The policy that policy.ts explains: the node on which the job is expected to end first, or none yet. */
export class LearnedRule implements Rule {
  private canaries = 1;

  choose(request: Request, isOpen: (pair: Pair) => boolean): Choice | undefined {
    const { kind, waiting, nowMs, tried } = request;
    const canary = this.canary(request);
    if (canary !== undefined && isOpen(canary)) return { pair: canary, why: 'canary' };
    let best: Pair | undefined;
    let bestMs = Infinity;
    for (const pair of tried === undefined ? kind.candidates() : kind.order) {
      if (pair.serviceMs > bestMs) continue;
      const expectedMs = pair.expectedMs(nowMs);
      if (expectedMs > bestMs || (expectedMs === bestMs && best !== undefined && !isIdler(pair, best)))
        continue;
      // Last, because it costs most: few come so far.
      if (!isOpen(pair) || isBarred(pair, request)) continue;
      best = pair;
      bestMs = expectedMs;
    }
    if (best === undefined) return undefined;
    if (tried !== undefined) return { pair: best, why: 'retry' };
    if (request.urgent) return { pair: best, why: 'best' };
    if (isFreeElsewhere(request, bestMs)) return undefined;
    if (request.waitedMs < bestMs && worthHolding(bestMs, waiting, best.fasterSlots, best.fasterRate)) {
      return undefined;
    }
    return { pair: best, why: 'best' };
  }

  took({ pair, why }: Choice): void {
    this.canaries = Math.min(1, this.canaries + CANARY_SHARE);
    if (why !== 'canary') return;
    this.canaries -= 1;
    pair.kind.canary = undefined;
  }

  window(pair: Pair): number {
    return pair.window;
  }

  private canary(request: Request): Pair | undefined {
    const { canary } = request.kind;
    if (canary === undefined || this.canaries < 1 || isBarred(canary, request)) return undefined;
    return canary;
  }
}

/** Sends at once to the node with the least unfinished work by its weight, other clients' included. */
export class LeastPendingRule implements Rule {
  choose(request: Request, isOpen: (pair: Pair) => boolean): Choice | undefined {
    let best: Pair | undefined;
    let bestLoad = Infinity;
    for (const pair of request.kind.order) {
      if (!isOpen(pair) || isBarred(pair, request)) continue;
      const { outstanding, foreign, view } = pair.node;
      const load = (outstanding + foreign + 1) / view.weight;
      if (load > bestLoad || (load === bestLoad && best !== undefined && pair.lastSentMs >= best.lastSentMs))
        continue;
      best = pair;
      bestLoad = load;
    }
    return best === undefined ? undefined : { pair: best, why: 'least-pending' };
  }

  took(): void {
    // What it needs to know, the pair keeps.
  }

  window(): number {
    return Infinity;
  }
}

/** Sends at once to the node that has waited longest for its turn. */
export class RoundRobinRule implements Rule {
  private turns = 0;
  private readonly turnOf = new WeakMap<Pair, number>();

  choose(request: Request, isOpen: (pair: Pair) => boolean): Choice | undefined {
    let best: Pair | undefined;
    let bestTurn = Infinity;
    for (const pair of request.kind.order) {
      const turn = this.turnOf.get(pair) ?? 0;
      if (turn >= bestTurn || !isOpen(pair) || isBarred(pair, request)) continue;
      best = pair;
      bestTurn = turn;
    }
    return best === undefined ? undefined : { pair: best, why: 'round-robin' };
  }

  took({ pair }: Choice): void {
    this.turns += 1;
    this.turnOf.set(pair, this.turns);
  }

  window(): number {
    return Infinity;
  }
}

export function ruleOf(name: RuleName): Rule {
  switch (name) {
    case 'learned':
      return new LearnedRule();
    case 'least-pending':
      return new LeastPendingRule();
    case 'round-robin':
      return new RoundRobinRule();
  }
}

/** Other replicas have better nodes with room for all that wait. */
function isFreeElsewhere({ kind, waiting }: Request, bestMs: number): boolean {
  let free = 0;
  for (const { node, serviceMs } of kind.elsewhere) {
    if (serviceMs + HANDOVER_MS >= bestMs) return false;
    free += node.summaryFor(kind.key)?.free ?? 0;
    if (free >= waiting) return true;
  }
  return false;
}

function isBarred(pair: Pair, { barred, tried }: Request): boolean {
  const { view } = pair.node;
  return tried?.has(view.id) === true || (barred.length > 0 && barred.includes(view.id));
}

/** Of two nodes that promise the same, the one with less work of others, then the one idle for longer. */
function isIdler(pair: Pair, best: Pair): boolean {
  const difference = pair.node.foreign - best.node.foreign;
  return difference < 0 || (difference === 0 && pair.lastSentMs < best.lastSentMs);
}
