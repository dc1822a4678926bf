/**
 * The real capacity behind a node: so many executions at a time, the others wait in order of arrival.
 * The node itself neither queues nor refuses (docs/protocol.md §6.11); this is the container's own queue.
 */
export class Slots {
  #busy = 0;
  readonly #waiting = new Set<() => void>();

  /** @param capacity executions at a time; Infinity for no limit */
  constructor(readonly capacity: number) {}

  get busy(): number {
    return this.#busy;
  }

  get queued(): number {
    return this.#waiting.size;
  }

  /**
   * Calls `start` as soon as a slot is free, at once when one is.
   * @returns a function that withdraws a request which still waits; without effect once it has started
   */
  acquire(start: () => void): () => void {
    if (this.#busy < this.capacity) {
      this.#busy += 1;
      start();
      return () => undefined;
    }
    this.#waiting.add(start);
    return () => void this.#waiting.delete(start);
  }

  /** Withdraws everybody who waits. */
  dropQueue(): void {
    this.#waiting.clear();
  }

  /** Gives a slot back, to the one that waits longest if any. */
  release(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#busy -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
