/** So many requests in a period, all of which may come at once. */
export interface RateLimit {
  readonly limit: number;
  readonly periodMs: number;
}

/** What the limiter says to one request; `headers` go on the reply either way. */
export interface RateVerdict {
  readonly allowed: boolean;
  readonly headers: readonly (readonly [string, string])[];
  /** Whole seconds, rounded down: 0 at the node's default setting, although the next token takes a second. */
  readonly retryAfterSeconds: number;
}

/** Stale buckets are swept once this many have gathered. */
const SWEEP_AT = 10_000;

/**
 * The node's rate limiter (docs/protocol.md §4): the generic cell rate algorithm. For each bucket the
 * theoretical arrival time is kept: every accepted request moves it one interval (period / limit) on, and
 * a request is refused while it lies more than period - interval ahead. Refused requests cost nothing.
 */
export class RateLimiter {
  readonly #intervalMs: number;
  readonly #arrivalByBucket = new Map<string, number>();

  constructor(readonly rate: RateLimit) {
    this.#intervalMs = rate.periodMs / rate.limit;
  }

  /** @param now milliseconds of any steady clock */
  take(endpoint: string, caller: string, now: number): RateVerdict {
    const { limit, periodMs } = this.rate;
    const bucket = `${endpoint} ${caller}`;
    const arrival = Math.max(this.#arrivalByBucket.get(bucket) ?? now, now);
    const burstMs = periodMs - this.#intervalMs;
    const allowed = arrival - now <= burstMs;
    const next = allowed ? arrival + this.#intervalMs : arrival;
    if (allowed) this.#store(bucket, next, now);
    const aheadMs = next - now;
    return {
      allowed,
      retryAfterSeconds: allowed ? 0 : Math.trunc((arrival - burstMs - now) / 1000),
      headers: [
        ['ratelimit-limit', String(limit)],
        ['ratelimit-remaining', String(Math.trunc((periodMs - aheadMs) / this.#intervalMs))],
        ['ratelimit-reset', String(Math.trunc(aheadMs / 1000))],
      ],
    };
  }

  #store(bucket: string, arrival: number, now: number): void {
    if (this.#arrivalByBucket.size >= SWEEP_AT && !this.#arrivalByBucket.has(bucket)) {
      for (const [key, time] of this.#arrivalByBucket) {
        if (time <= now) this.#arrivalByBucket.delete(key);
      }
    }
    this.#arrivalByBucket.set(bucket, arrival);
  }
}
