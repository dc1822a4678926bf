import type { Writable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import { Scheduler } from '../dispatch/scheduler.js';
import { GatewayError } from '../errors.js';
import { JobEvents } from '../jobs/job-events.js';
import { Fleet } from '../nodes/fleet.js';
import { COUNTED_AGAIN, Sampler } from '../stats/sampler.js';
import { LiveReader, sseEvent } from './live-reader.js';
import { nodeRow } from './node-view.js';
import { RowChanges, type Row } from './row-changes.js';
import { historyView, totalsView } from './stats-view.js';

/** What gathers in this time goes out as one event, in ms. */
const GATHER_MS = 1_000;
/** With nothing else to say, readers get a comment this often, so that they and proxies know that it goes on, in ms. */
const HEARTBEAT_MS = 15_000;
/** Ids of ended jobs named in one event. */
const MOST_ENDED = 100;
const MOST_READERS = 100;

/**
 * What changes, for everybody who watches, as server-sent events (docs/dashboard.md):
 *
 * - `stats`, with each sample: the present figures and the spans that are new, and the time of the last as event id. A
 *   reader that comes again with that id gets the spans that it missed, from whichever replica it reaches.
 * - `nodes`: first all rows, then of those that changed what did.
 * - `jobs`: jobs that ended; the first hundred by id, however many they were.
 *
 * Updates are made once for all readers, at most one a second, and only while somebody reads.
 */
@Injectable()
export class LiveUpdates {
  private readonly readers = new Set<LiveReader>();
  private rows = new RowChanges();
  private ended: string[] = [];
  private endedCount = 0;
  private timers: NodeJS.Timeout[] = [];
  private stopped = false;

  constructor(
    private readonly fleet: Fleet,
    private readonly scheduler: Scheduler,
    private readonly sampler: Sampler,
    private readonly jobs: JobEvents,
  ) {}

  /**
   * Sends updates until the reader goes away or the gateway stops; it starts with a snapshot.
   * @param sinceMs the id of the last `stats` event that the reader got; undefined for one that is new
   * @throws GatewayError SHUTTING_DOWN, TOO_MANY_READERS
   */
  follow(output: Writable, sinceMs: number | undefined): void {
    this.refuseIfFull();
    const reader = new LiveReader(output, () => this.snapshot(undefined));
    if (this.readers.size === 0) this.startGathering();
    this.readers.add(reader);
    output.on('close', () => this.leave(reader));
    output.on('error', () => this.leave(reader));
    reader.send(this.snapshot(sinceMs));
  }

  /** @throws GatewayError SHUTTING_DOWN, TOO_MANY_READERS */
  refuseIfFull(): void {
    if (this.stopped) throw new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down');
    if (this.readers.size < MOST_READERS) return;
    throw new GatewayError('TOO_MANY_READERS', `${MOST_READERS} are watching already`);
  }

  /** Ends all streams, and takes no more readers. Safe twice. */
  stop(): void {
    this.stopped = true;
    for (const reader of this.readers) reader.end();
    this.stopGathering();
  }

  private readonly onSampled = (): void => this.send(this.statsEvent(this.sampler.recent.latestAt));

  private readonly onEnded = (jobId: string): void => {
    this.endedCount += 1;
    if (this.ended.length < MOST_ENDED) this.ended.push(jobId);
  };

  private leave(reader: LiveReader): void {
    reader.end();
    if (this.readers.delete(reader) && this.readers.size === 0) this.stopGathering();
  }

  private startGathering(): void {
    this.rows = new RowChanges();
    this.rows.next(this.nodeRows());
    this.ended = [];
    this.endedCount = 0;
    this.sampler.on('sampled', this.onSampled);
    this.jobs.on('finished', this.onEnded);
    this.timers = [
      setInterval(() => this.tell(), GATHER_MS),
      setInterval(() => this.send(': still here\n\n'), HEARTBEAT_MS),
    ];
  }

  private stopGathering(): void {
    for (const timer of this.timers) clearInterval(timer);
    this.timers = [];
    this.sampler.off('sampled', this.onSampled);
    this.jobs.off('finished', this.onEnded);
  }

  private tell(): void {
    const changes = this.rows.next(this.nodeRows());
    if (changes !== undefined) this.send(sseEvent('nodes', changes));
    if (this.endedCount === 0) return;
    this.send(sseEvent('jobs', { ended: this.ended, count: this.endedCount }));
    this.ended = [];
    this.endedCount = 0;
  }

  private send(events: string): void {
    for (const reader of this.readers) reader.send(events);
  }

  private snapshot(sinceMs: number | undefined): string {
    return this.statsEvent(sinceMs) + sseEvent('nodes', { all: this.nodeRows() });
  }

  /** @param sinceMs a span that the reader has; without one it gets the last ten minutes */
  private statsEvent(sinceMs: number | undefined): string {
    const { recent, at } = this.sampler;
    // The spans before may have been counted anew since.
    const since = sinceMs === undefined ? undefined : sinceMs - COUNTED_AGAIN * recent.stepMs;
    const history = historyView(recent, at?.getTime() ?? 0, since);
    return sseEvent(
      'stats',
      { ...totalsView(this.sampler, this.fleet), history },
      recent.latestAt?.toString(),
    );
  }

  private nodeRows(): Row[] {
    return this.fleet.nodes.map((node) => nodeRow(node, this.scheduler));
  }
}
