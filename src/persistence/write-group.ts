import { performance } from 'node:perf_hooks';
import { isDatabaseUnavailable } from './database-errors.js';

export interface WriteGroupOptions<Item, Result> {
  /** Names the group in errors and metrics. */
  name: string;
  /**
   * Writes all items in one transaction and returns one result for each, in order. When it throws, nothing
   * may have been written, unless the database went away.
   */
  flush: (items: Item[]) => Promise<Result[]>;
  /** Flushes in flight at once; default 1. */
  concurrency?: number;
  /** Most items in a flush; default 500. */
  maxItems?: number;
  /** Most bytes in a flush, by `sizeOf`; a single larger item still goes, alone. Default 8 MiB. */
  maxBytes?: number;
  /** Told of every flush that was committed, and how long it took. */
  onFlush?: (name: string, items: number, tookMs: number) => void;
  /** Bytes of an item; default 0, so that only `maxItems` counts. */
  sizeOf?: (item: Item) => number;
}

interface Entry<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

/**
 * Group commit, as databases do for their log (DeWitt et al., "Implementation Techniques for Main Memory
 * Database Systems", 1984): while one flush is in flight, new items gather, and the next flush takes them
 * all. Load sets the group's size: an item alone waits for nothing but the current turn of the event loop,
 * and under pressure the cost of a commit is shared by hundreds.
 *
 * A flush of several items that fails for its data is split in halves until the culprit stands alone, so
 * that one bad item fails by itself at the cost of about 2·log2(n) extra flushes. When the database is
 * away everything in the flush fails at once.
 */
export class WriteGroup<Item, Result> {
  private readonly limits: { concurrency: number; maxItems: number; maxBytes: number };
  private readonly waiting: Entry<Item, Result>[] = [];
  private inFlight = 0;
  private scheduled = false;
  private readonly drained: (() => void)[] = [];

  constructor(private readonly options: WriteGroupOptions<Item, Result>) {
    const { concurrency = 1, maxItems = 500, maxBytes = 8 * 1024 * 1024 } = options;
    for (const [name, value] of Object.entries({ concurrency, maxItems, maxBytes })) {
      if (!(value >= 1))
        throw new RangeError(`${name} of the write group ${options.name} must be at least 1`);
    }
    this.limits = { concurrency, maxItems, maxBytes };
  }

  /** Resolves when the item is committed; rejects with the error of its flush. */
  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ item, resolve, reject });
      if (this.scheduled || this.inFlight >= this.limits.concurrency) return;
      this.scheduled = true;
      // Lets the other requests that arrived in this turn of the event loop join.
      setImmediate(() => {
        this.scheduled = false;
        this.start();
      });
    });
  }

  /** Resolves when everything added so far, and meanwhile, is settled. Never rejects. */
  async drain(): Promise<void> {
    if (this.waiting.length === 0 && this.inFlight === 0) return;
    await new Promise<void>((resolve) => this.drained.push(resolve));
  }

  private start(): void {
    while (this.waiting.length > 0 && this.inFlight < this.limits.concurrency) {
      this.inFlight++;
      void this.settle(this.take()).then(() => {
        this.inFlight--;
        this.start();
      });
    }
    if (this.waiting.length === 0 && this.inFlight === 0) {
      for (const resolve of this.drained.splice(0)) resolve();
    }
  }

  private take(): Entry<Item, Result>[] {
    const { maxItems, maxBytes } = this.limits;
    let count = 0;
    let bytes = 0;
    for (const { item } of this.waiting) {
      bytes += this.options.sizeOf?.(item) ?? 0;
      if (count > 0 && (count === maxItems || bytes > maxBytes)) break;
      count++;
    }
    return this.waiting.splice(0, count);
  }

  private async settle(entries: Entry<Item, Result>[]): Promise<void> {
    let results: Result[];
    const startedAt = performance.now();
    try {
      results = await this.options.flush(entries.map(({ item }) => item));
      this.options.onFlush?.(this.options.name, entries.length, performance.now() - startedAt);
    } catch (error) {
      if (entries.length === 1 || isDatabaseUnavailable(error)) {
        for (const { reject } of entries) reject(error);
        return;
      }
      const middle = Math.ceil(entries.length / 2);
      await this.settle(entries.slice(0, middle));
      await this.settle(entries.slice(middle));
      return;
    }
    entries.forEach(({ resolve, reject }, index) => {
      if (index < results.length) resolve(results[index] as Result);
      else reject(new Error(`The write group ${this.options.name} returned too few results.`));
    });
  }
}
