import { EventEmitter } from 'node:events';
import { performance } from 'node:perf_hooks';
import { Injectable, Logger } from '@nestjs/common';
import { messageOf } from '../errors.js';
import { emptySpan, History, sumOf, type Span } from './history.js';
import { StatsRepository, type Count, type OpenJobs } from './stats.repository.js';

export interface SamplerEvents {
  /** A sample was taken, or could not be. */
  sampled: [];
}

const STEP_MS = 2_000;
const MINUTE_MS = 60_000;
/** Spans that a sample counts anew: what was committed late is found then. */
export const COUNTED_AGAIN = 3;
/** A sample waits this long for what ended in its span to be committed, in ms. */
const SETTLE_MS = 150;
/** The pause after a sample lasts several times as long as the sample took, so that they do not become a burden. */
const PAUSE = { timesTaken: 5, mostMs: 10_000 };
/** A start reads at most so many ended jobs to make up the history. */
const BACKFILL_JOBS = 300_000;

/**
 * Keeps figures on the whole installation: what happened in each 2 s of the last ten minutes and in each minute of the last
 * day. Every replica counts for itself in PostgreSQL, so each of them can answer; and a start counts back, so nothing is
 * lost with a process but figures on jobs that are deleted by then.
 */
@Injectable()
export class Sampler extends EventEmitter<SamplerEvents> {
  private readonly log = new Logger(Sampler.name);
  /** Spans of 2 s, for ten minutes. */
  readonly recent = new History(STEP_MS, 300);
  /** Spans of a minute, for a day. The last one is not over yet. */
  readonly day = new History(MINUTE_MS, 1_440);
  private openJobs: OpenJobs = { queued: 0, sending: 0, running: 0, retrying: 0 };
  private sampledAt: Date | undefined;
  private failure: string | undefined;
  private running: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private stopped = true;

  constructor(private readonly stats: StatsRepository) {
    super();
    // Each reader of live updates listens.
    this.setMaxListeners(0);
  }

  /** Unfinished jobs at the last sample. */
  get open(): OpenJobs {
    return this.openJobs;
  }

  /** When the last sample was taken; undefined before the first. */
  get at(): Date | undefined {
    return this.sampledAt;
  }

  /** Why the last sample could not be taken; undefined if it was. */
  get error(): string | undefined {
    return this.failure;
  }

  /** What happened in the last so many ms, up to the latest span. */
  last(ms: number): Span {
    const history = ms > STEP_MS * this.recent.capacity ? this.day : this.recent;
    const end = (history.latestAt ?? 0) + history.stepMs;
    return sumOf(history.between(end - ms, end));
  }

  /** Samples from now on. The history is made up behind: a start does not wait for it. */
  start(): void {
    this.stopped = false;
    this.schedule(0);
  }

  /** Safe when never started, safe twice. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  /** One sample; the first one makes up the history. Never throws; samples do not overlap. */
  async runOnce(): Promise<void> {
    this.running ??= this.sample()
      .then(
        () => (this.failure = undefined),
        (error: unknown) => {
          this.failure = messageOf(error);
          this.log.debug(`No figures: ${this.failure}`);
        },
      )
      .then(() => void this.emit('sampled'))
      .finally(() => (this.running = undefined));
    await this.running;
  }

  private async sample(): Promise<void> {
    const { nowMs, ...open } = await this.stats.open();
    const current = this.recent.startOf(nowMs);
    const known = this.recent.latestAt;
    const isGap = known === undefined || known < current - STEP_MS * this.recent.capacity;
    if (isGap) await this.backfill(nowMs, open);
    else await this.count(Math.min(current - COUNTED_AGAIN * STEP_MS, known + STEP_MS), current, open);
    this.openJobs = open;
    this.sampledAt = new Date(nowMs);
  }

  private async count(from: number, current: number, open: OpenJobs): Promise<void> {
    const counted = spansOf(await this.stats.countsSince(from, STEP_MS));
    for (let at = from; at < current; at += STEP_MS) {
      const { waiting = null, running = null } = this.recent.get(at) ?? {};
      this.recent.put(at, { ...(counted.get(at)?.span ?? emptySpan()), waiting, running });
    }
    const latest = this.recent.get(current - STEP_MS);
    if (latest !== undefined) Object.assign(latest, gaugesOf(open));
    for (let at = this.day.startOf(from); at < current; at += MINUTE_MS) {
      this.day.put(at, sumOf(this.recent.between(at, at + MINUTE_MS)));
    }
  }

  /** What waited and ran earlier follows from what does now, and from what came, was sent and ended since. */
  private async backfill(nowMs: number, open: OpenJobs): Promise<void> {
    const bound = (await this.stats.endOfJobBefore(BACKFILL_JOBS)) ?? -Infinity;
    for (const history of [this.day, this.recent]) {
      const { stepMs, capacity } = history;
      const current = history.startOf(nowMs);
      // Of the day, the minute that is not over is shown too.
      const end = history === this.day ? current + stepMs : current;
      const from = Math.max(end - stepMs * capacity, history.startOf(bound) + stepMs);
      const counted = spansOf(await this.stats.countsSince(from, stepMs));
      let { waiting, running } = gaugesOf(open);
      for (let at = current; at >= from; at -= stepMs) {
        const { span, sent, unsent } = counted.get(at) ?? { span: emptySpan(), sent: 0, unsent: 0 };
        if (at < end)
          history.put(at, { ...span, waiting: Math.max(0, waiting), running: Math.max(0, running) });
        running += span.succeeded + span.failed + span.cancelled - unsent - sent;
        waiting += sent + unsent - span.arrived;
      }
    }
  }

  /** Shortly after the end of each span. */
  private schedule(tookMs: number): void {
    const pauseMs = Math.max(
      Math.min(PAUSE.mostMs, tookMs * PAUSE.timesTaken),
      STEP_MS + SETTLE_MS - (Date.now() % STEP_MS),
    );
    const first = this.recent.latestAt === undefined && this.failure === undefined;
    this.timer = setTimeout(
      () => {
        const startedAt = performance.now();
        void this.runOnce().finally(() => {
          if (!this.stopped) this.schedule(performance.now() - startedAt);
        });
      },
      first ? 0 : pauseMs,
    );
  }
}

function gaugesOf({ queued, sending, running, retrying }: OpenJobs): { waiting: number; running: number } {
  return { waiting: queued + retrying, running: sending + running };
}

interface CountedSpan {
  readonly span: Span;
  sent: number;
  unsent: number;
}

function spansOf(counts: readonly Count[]): Map<number, CountedSpan> {
  const spans = new Map<number, CountedSpan>();
  for (const { at, what, bin, count } of counts) {
    let counted = spans.get(at);
    if (counted === undefined) spans.set(at, (counted = { span: emptySpan(), sent: 0, unsent: 0 }));
    if (what === 'wait' || what === 'service') counted.span[what].add(bin, count);
    else if (what === 'sent' || what === 'unsent') counted[what] += count;
    else counted.span[what] += count;
  }
  return spans;
}
