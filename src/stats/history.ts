import { Durations } from './durations.js';

/** How a job may end. */
export type Outcome = 'succeeded' | 'failed' | 'cancelled';

/** What happened in one span of time, in the whole installation. */
export interface Span {
  /** Jobs that came. */
  arrived: number;
  /** Jobs that ended so. */
  succeeded: number;
  failed: number;
  cancelled: number;
  /** Jobs that waited for a node, or were on one, at its end; null when nobody looked. */
  waiting: number | null;
  running: number | null;
  /** Of the jobs that ended: from arrival to the first attempt. */
  readonly wait: Durations;
  /** Of the jobs that ended on a node: from acceptance to the end. */
  readonly service: Durations;
}

/** A span in which nothing happened. */
export function emptySpan(): Span {
  return {
    arrived: 0,
    succeeded: 0,
    failed: 0,
    cancelled: 0,
    waiting: null,
    running: null,
    wait: new Durations(),
    service: new Durations(),
  };
}

/** What happened in all of them; of what waits and runs, the mean. */
export function sumOf(spans: Iterable<Span>): Span {
  const sum = emptySpan();
  const looks = { waiting: [] as number[], running: [] as number[] };
  for (const span of spans) {
    sum.arrived += span.arrived;
    sum.succeeded += span.succeeded;
    sum.failed += span.failed;
    sum.cancelled += span.cancelled;
    sum.wait.merge(span.wait);
    sum.service.merge(span.service);
    if (span.waiting !== null) looks.waiting.push(span.waiting);
    if (span.running !== null) looks.running.push(span.running);
  }
  sum.waiting = meanOf(looks.waiting);
  sum.running = meanOf(looks.running);
  return sum;
}

function meanOf(numbers: readonly number[]): number | null {
  if (numbers.length === 0) return null;
  return Math.round(numbers.reduce((sum, one) => sum + one, 0) / numbers.length);
}

/**
 * The latest spans of equal length, in memory, oldest first. A span is named by when it began: a multiple of the step, in
 * ms since 1970. What is older than the capacity is forgotten.
 */
export class History {
  private readonly spans = new Map<number, Span>();
  private latest = -Infinity;

  /** @param capacity how many spans are kept */
  constructor(
    readonly stepMs: number,
    readonly capacity: number,
  ) {}

  /** When the latest span began; undefined when there is none. */
  get latestAt(): number | undefined {
    return Number.isFinite(this.latest) ? this.latest : undefined;
  }

  /** When the span began that a time belongs to. */
  startOf(atMs: number): number {
    return Math.floor(atMs / this.stepMs) * this.stepMs;
  }

  get(at: number): Span | undefined {
    return this.spans.get(at);
  }

  /** Takes a span in, in place of what was known of it. */
  put(at: number, span: Span): void {
    if (at <= this.latest - this.stepMs * this.capacity) return;
    this.spans.set(at, span);
    if (at <= this.latest) return;
    this.latest = at;
    const oldest = at - this.stepMs * this.capacity;
    for (const known of this.spans.keys()) if (known <= oldest) this.spans.delete(known);
  }

  /** Those from a time on, oldest first, with undefined for spans of which nothing is known in between. */
  *since(fromMs: number): Generator<readonly [at: number, span: Span | undefined]> {
    if (this.spans.size === 0) return;
    const oldest = Math.min(...this.spans.keys());
    for (let at = Math.max(oldest, this.startOf(fromMs)); at <= this.latest; at += this.stepMs) {
      yield [at, this.spans.get(at)];
    }
  }

  /** What is known of a stretch of time. */
  *between(fromMs: number, toMs: number): Generator<Span> {
    for (let at = this.startOf(fromMs); at < toMs; at += this.stepMs) {
      const span = this.spans.get(at);
      if (span !== undefined) yield span;
    }
  }
}
