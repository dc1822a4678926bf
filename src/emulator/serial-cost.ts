/**
 * The processor time of a single-threaded node: every request takes so many milliseconds of it, one after
 * another. The reference node needs about 2.5 ms (docs/protocol.md §8). It is waited for, not burnt, so
 * that many emulated nodes fit into one process.
 */
export class SerialCost {
  #freeAt = 0;

  /** @param requestCostMs 0 for none */
  constructor(readonly requestCostMs: number) {}

  /** Resolves when the processor has come to this request and done it. */
  async pay(): Promise<void> {
    if (this.requestCostMs === 0) return;
    const now = performance.now();
    this.#freeAt = Math.max(now, this.#freeAt) + this.requestCostMs;
    await new Promise((resolve) => setTimeout(resolve, this.#freeAt - now));
  }
}
