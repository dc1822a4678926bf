import type { OfferState } from './subscription-state.js';

/** An offer as the decision needs it. */
export interface PlacedOffer {
  readonly id: string;
  readonly nodeId: string;
  readonly state: OfferState;
  /** Time until it may be sent or tried again, in ms; 0 or less if it may now. */
  readonly dueInMs: number;
}

/** A node that can serve a subscription. */
export interface Candidate {
  readonly nodeId: string;
  /** Whether it takes new work now: it is up, and no operator keeps it from it. */
  readonly open: boolean;
}

/** What to do with a subscription's places. */
export interface Placing {
  /** Nodes to make an offer to. */
  readonly start: readonly string[];
  /** Offers to be made once more. */
  readonly again: readonly string[];
  /** How the subscription ends, if it does. */
  readonly end?: 'accepted' | 'refused';
  /** When to look again if nothing happens before, in ms. */
  readonly checkInMs: number;
}

const HOLDS_A_PLACE: ReadonlySet<OfferState> = new Set(['pending', 'sending', 'accepted']);
const MAY_GO_AGAIN: ReadonlySet<OfferState> = new Set(['unreachable', 'lost']);
/** An open subscription is looked at this often in any case, in ms. */
const LONGEST_CHECK_MS = 30_000;

/**
 * Gives the free places of a subscription to nodes: first to those that were not asked, in the order given, then once
 * more to those that could not be reached. A pure function; the states are explained in subscription-state.ts.
 * @param redundancy how many nodes may have it; 0 counts as 1
 * @param candidates every node that can serve it, the best first
 */
export function placing(
  redundancy: number,
  offers: readonly PlacedOffer[],
  candidates: readonly Candidate[],
): Placing {
  const wanted = Math.max(1, redundancy);
  const offered = new Map(offers.map((offer) => [offer.nodeId, offer]));
  const accepted = offers.filter(({ state }) => state === 'accepted').length;
  if (accepted >= wanted) return { start: [], again: [], end: 'accepted', checkInMs: 0 };

  const taken = offers.filter(({ state }) => HOLDS_A_PLACE.has(state)).length;
  const free = Math.max(0, wanted - taken);
  const start = candidates
    .filter(({ nodeId, open }) => open && !offered.has(nodeId))
    .slice(0, free)
    .map(({ nodeId }) => nodeId);
  const repeatable = candidates.flatMap(({ nodeId, open }) => {
    const offer = offered.get(nodeId);
    return offer !== undefined && open && MAY_GO_AGAIN.has(offer.state) ? [offer] : [];
  });
  const again = repeatable
    .filter(({ dueInMs }) => dueInMs <= 0)
    .slice(0, free - start.length)
    .map(({ id }) => id);

  const someNodeMay = candidates.some(({ nodeId }) => {
    const state = offered.get(nodeId)?.state;
    return state === undefined || MAY_GO_AGAIN.has(state);
  });
  const nothingOut = taken === accepted && start.length + again.length === 0;
  if (nothingOut && !someNodeMay) {
    if (accepted > 0) return { start, again, end: 'accepted', checkInMs: 0 };
    if (offers.some(({ state }) => state === 'refused')) {
      return { start, again, end: 'refused', checkInMs: 0 };
    }
  }
  const waits = offers
    .filter(({ state, dueInMs }) => dueInMs > 0 && (state === 'pending' || MAY_GO_AGAIN.has(state)))
    .map(({ dueInMs }) => dueInMs);
  return { start, again, checkInMs: Math.min(LONGEST_CHECK_MS, ...waits) };
}
