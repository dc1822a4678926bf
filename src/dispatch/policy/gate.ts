import type { BreakerState } from './ejection.js';
import type { Pair } from './pair.js';

/** Why a node is not given one more job of a kind now. */
export type Barrier =
  | 'unavailable'
  | 'elsewhere'
  | 'paused'
  | 'over budget'
  | 'node ejected'
  | 'containers ejected'
  | 'on trial'
  | 'stands still'
  | 'at cap'
  | 'unanswered'
  | 'window full';

/** What the gate has to know beyond the node itself. `window` is Infinity where it does not matter. */
export interface GateLimits {
  readonly window: number;
  readonly maxUnanswered: number;
  /** Whether the job spends a budget of its own there instead of the gateway's. */
  readonly ownBudget: boolean;
}

/** The one place where it is decided whether a node may be given one more job; undefined if it may. */
export function barrierAt(
  pair: Pair,
  { window, maxUnanswered, ownBudget }: GateLimits,
  nowMs: number,
): Barrier | undefined {
  const { node, kind } = pair;
  const { view } = node;
  if (pair.count >= window) return 'window full';
  if (view.elsewhere === true) return 'elsewhere';
  if (!view.available) return 'unavailable';
  if (!ownBudget && node.pausedUntilMs > nowMs) return 'paused';
  if (!ownBudget && node.budgetAtMs > nowMs) return 'over budget';
  if (view.maxInFlight !== null && node.outstanding >= view.maxInFlight) return 'at cap';
  if (node.unanswered >= maxUnanswered) return 'unanswered';
  if (pair.stuck && !kind.panic) return 'stands still';
  const ofNode = node.breaker.state(nowMs, kind.panic);
  if (!mayPass(ofNode)) return ofNode === 'tried' ? 'on trial' : 'node ejected';
  const ofPair = pair.breaker.state(nowMs, kind.panic);
  if (!mayPass(ofPair)) return ofPair === 'tried' ? 'on trial' : 'containers ejected';
  return undefined;
}

function mayPass(state: BreakerState): boolean {
  return state === 'open' || state === 'trial';
}
