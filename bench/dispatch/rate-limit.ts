/** A node's limiter of one route (GCRA, docs/protocol.md §4): 60 requests a minute, 60 at once. */
const LIMIT = { everyMs: 1_000, burst: 60 };

export class RateLimit {
  /** When the bucket will be full again. */
  private fullAtMs = 0;

  /** Requests that may be made at once. */
  tokens(nowMs: number): number {
    return Math.floor(LIMIT.burst - Math.max(0, this.fullAtMs - nowMs) / LIMIT.everyMs + 1e-9);
  }

  /** When there is a token; the past means now. */
  nextAtMs(): number {
    return this.fullAtMs - (LIMIT.burst - 1) * LIMIT.everyMs;
  }

  /** @returns whether the request is within the limit */
  take(nowMs: number): boolean {
    if (this.tokens(nowMs) < 1) return false;
    this.fullAtMs = Math.max(nowMs, this.fullAtMs) + LIMIT.everyMs;
    return true;
  }
}
