/** The reply to one question should stay under this, in bytes. */
const REPLY_BYTES = 8 * 1_048_576;
/** Assumed for a kind of job of which no result was seen yet. */
const FIRST_GUESS_BYTES = 4_096;
/** Weight of the newest result in the running mean. */
const SMOOTHING = 0.2;
/** Kinds remembered; callers can make up any number of chains. */
const MAX_KINDS = 1_000;

/**
 * Learns how large the results of each kind of job are, so that a question asks for as many jobs as fit a
 * reply. A reply that failed is asked for in halves, down to one job; each that works doubles the number again.
 */
export class ReplySizes {
  private readonly meanBytes = new Map<string, number>();
  private limit: number;

  constructor(private readonly maxIds: number) {
    this.limit = maxIds;
  }

  learn(kind: string, bytes: number): void {
    const known = this.meanBytes.get(kind);
    if (known === undefined && this.meanBytes.size >= MAX_KINDS) this.meanBytes.clear();
    // A large result counts at once: underestimating is what hurts.
    const mean = known === undefined || bytes > known ? bytes : known + (bytes - known) * SMOOTHING;
    this.meanBytes.set(kind, mean);
  }

  /** How many of these jobs, from the first on, to ask about together; at least one. */
  fit(kinds: readonly string[]): number {
    let bytes = 0;
    let count = 0;
    for (const kind of kinds) {
      bytes += this.meanBytes.get(kind) ?? FIRST_GUESS_BYTES;
      if (count > 0 && (bytes > REPLY_BYTES || count >= this.limit)) break;
      count += 1;
    }
    return count;
  }

  worked(): void {
    this.limit = Math.min(this.maxIds, this.limit * 2);
  }

  /** @param asked how many jobs the failed question was about */
  failed(asked: number): void {
    this.limit = Math.max(1, Math.floor(asked / 2));
  }
}
