/**
 * How fast a node may be asked, learned from its `ratelimit-*` headers (docs/protocol.md §4). The node's limiter is the
 * generic cell rate algorithm, one bucket for each route: `limit` requests at once when the bucket is full, then one in
 * each interval. The headers name the limit, the requests left and the whole seconds until the bucket is full; the
 * interval follows from the two latter, within bounds that narrow with each reply.
 *
 * The budget runs the same algorithm ahead of the node, so that no request is refused: free while the bucket is full,
 * further and further apart as it empties, never the last token. A pure state machine; the clock is given, in ms.
 */

/** The node's buckets. */
export type NodeRoute =
  'health' | 'info' | 'resources' | 'chain' | 'create_job' | 'create_job_batch' | 'get_job';

/** What a reply's headers said; undefined values mean that the route is not limited. */
export interface RateHeaders {
  readonly limit: number;
  readonly remaining: number;
  /** Whole seconds, rounded down, until the bucket is full. */
  readonly resetSeconds: number;
}

interface Bucket {
  limit: number;
  /** Bounds of the interval between two tokens, in ms. */
  shortest: number;
  longest: number;
  /** When the bucket is full again if nothing more is sent. */
  fullAt: number;
  inFlight: number;
  lastSentAt: number;
}

/** The reference node's period, taken until replies tell more, in ms. */
const FIRST_GUESS_PERIOD_MS = 60_000;
/** Tokens left for others that share the bucket, and for what the whole seconds of the headers hide: a part, at most so many. */
const RESERVE = { share: 1 / 20, most: 2 };
/** Below this share of the limit, requests are spaced. */
const SPACED_BELOW = 0.5;

export class RateBudget {
  private readonly buckets = new Map<NodeRoute, Bucket>();
  /** Until when a route was asked to rest. A 429 tells no limit: it may be that of a proxy, which tells no more later. */
  private readonly pausedUntil = new Map<NodeRoute, number>();

  /** How long a request on this route has to wait, in ms; 0 if it may go now. */
  waitMs(route: NodeRoute, nowMs: number): number {
    const pauseMs = Math.max(0, (this.pausedUntil.get(route) ?? 0) - nowMs);
    const bucket = this.buckets.get(route);
    if (bucket === undefined) return pauseMs;
    const { limit, longest, fullAt, lastSentAt } = bucket;
    const aheadMs = Math.max(0, fullAt - nowMs);
    const left = limit - aheadMs / longest;
    const reserve = Math.min(RESERVE.most, Math.floor(limit * RESERVE.share));
    const untilToken = (reserve + 1 - left) * longest;
    const emptiness = Math.max(0, 1 - left / (limit * SPACED_BELOW));
    const untilSpaced = lastSentAt + emptiness * longest - nowMs;
    return Math.max(pauseMs, Math.min(untilToken, aheadMs), untilSpaced);
  }

  /** Every route whose limit is known: requests left of those allowed, and how long the next one has to wait, in ms. */
  view(nowMs: number): [NodeRoute, { limit: number; left: number; waitMs: number }][] {
    return [...this.buckets].map(([route, { limit, longest, fullAt }]) => {
      const left = Math.max(0, Math.floor(limit - Math.max(0, fullAt - nowMs) / longest));
      return [route, { limit, left, waitMs: Math.ceil(this.waitMs(route, nowMs)) }];
    });
  }

  /** A request leaves. */
  sent(route: NodeRoute, nowMs: number): void {
    const bucket = this.buckets.get(route);
    if (bucket === undefined) return;
    bucket.inFlight += 1;
    bucket.lastSentAt = nowMs;
    bucket.fullAt = Math.max(bucket.fullAt, nowMs) + bucket.longest;
  }

  /** It was answered, or (no headers) came to nothing. */
  replied(route: NodeRoute, nowMs: number, headers: RateHeaders | undefined): void {
    const known = this.buckets.get(route);
    if (known !== undefined) known.inFlight = Math.max(0, known.inFlight - 1);
    if (headers === undefined || headers.limit <= 0) return;
    const bucket = known ?? newBucket(headers.limit, nowMs);
    this.buckets.set(route, bucket);
    if (bucket.limit !== headers.limit) Object.assign(bucket, newBucket(headers.limit, nowMs));
    const used = headers.limit - headers.remaining;
    // The time until the bucket is full lies between the whole seconds told and one more, and is that of `used` tokens
    // at most, more than one less.
    if (used > 0) bucket.shortest = Math.max(bucket.shortest, (headers.resetSeconds * 1_000) / used);
    if (used > 1) {
      bucket.longest = Math.min(bucket.longest, ((headers.resetSeconds + 1) * 1_000) / (used - 1));
    }
    bucket.longest = Math.max(bucket.longest, bucket.shortest);
    bucket.fullAt = nowMs + (used + bucket.inFlight) * bucket.longest;
  }

  /** 429: nothing for this long. */
  limited(route: NodeRoute, nowMs: number, pauseMs: number): void {
    this.pausedUntil.set(route, Math.max(this.pausedUntil.get(route) ?? 0, nowMs + pauseMs));
  }
}

function newBucket(limit: number, nowMs: number): Bucket {
  return {
    limit,
    shortest: 0,
    longest: FIRST_GUESS_PERIOD_MS / limit,
    fullAt: nowMs,
    inFlight: 0,
    lastSentAt: 0,
  };
}
