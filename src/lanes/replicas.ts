import { performance } from 'node:perf_hooks';
import { Injectable, Logger } from '@nestjs/common';
import { Dispatcher } from '../dispatch/dispatcher.js';
import { Scheduler } from '../dispatch/scheduler.js';
import type { LaneSummary } from '../dispatch/policy/node-state.js';
import { messageOf } from '../errors.js';
import { JobEvents } from '../jobs/job-events.js';
import { JobsRepository } from '../jobs/jobs.repository.js';
import { Fleet } from '../nodes/fleet.js';
import { NodesService } from '../nodes/nodes.service.js';
import { Broadcast, type LaneNews } from '../persistence/broadcast.js';
import { LeaseKeeper } from './lease-keeper.js';

const GATHER_MS = 50;
/** How often the others are told how this replica's nodes fare, if that has changed, and how often in any case, in ms. */
const SUMMARY_INTERVAL_MS = 100;
const SUMMARY_REPEATED_MS = 1_000;

/** Keeps this replica in step with the others: what one of them commits, the others hear and act on. */
@Injectable()
export class Replicas {
  private readonly log = new Logger(Replicas.name);
  private timer: NodeJS.Timeout | undefined;
  private summaryTimer: NodeJS.Timeout | undefined;
  private readonly told = new Map<string, { readonly text: string; readonly atMs: number }>();

  constructor(
    private readonly broadcast: Broadcast,
    private readonly dispatcher: Dispatcher,
    private readonly scheduler: Scheduler,
    private readonly jobs: JobsRepository,
    private readonly events: JobEvents,
    private readonly nodes: NodesService,
    private readonly fleet: Fleet,
    private readonly leases: LeaseKeeper,
  ) {}

  /** Listens from now on; takes in what waits whenever the connection was made. */
  async start(): Promise<void> {
    this.dispatcher.on('queued', (jobId) => void this.broadcast.publish('queued', [jobId]));
    this.dispatcher.on('claimed', (jobId) => void this.broadcast.publish('claimed', [jobId]));
    this.broadcast.on('claimed', (ids) => {
      for (const id of ids) this.dispatcher.forget(id);
    });
    this.broadcast.on('lanes', (news) => {
      for (const [nodeId, summary] of news) this.scheduler.summarySeen(nodeId, summary as LaneSummary);
    });
    this.summaryTimer = setInterval(() => this.tellHowNodesFare(), SUMMARY_INTERVAL_MS);
    this.broadcast.on('queued', (ids) => this.attempt(() => this.hold(ids)));
    this.broadcast.on('finished', (ids) => {
      for (const id of ids) this.events.emit('finished', id);
    });
    this.broadcast.on('nodes', () => {
      this.attempt(async () => {
        await this.nodes.reload();
        await this.leases.runOnce();
      });
    });
    this.broadcast.on('connected', () => {
      this.attempt(async () => {
        await this.hold();
        await this.leases.runOnce();
      });
    });
    // Whoever held the lease before may have gone with news of waiting jobs that it alone had.
    this.leases.on('gained', () => this.holdSoon());
    await this.broadcast.start();
  }

  /** Safe when never started, safe twice. */
  async stop(): Promise<void> {
    clearTimeout(this.timer);
    clearInterval(this.summaryTimer);
    await this.broadcast.stop();
  }

  private tellHowNodesFare(): void {
    if (this.broadcast.audience === 0) return;
    const nowMs = performance.now();
    const news: LaneNews[] = [];
    for (const { id, leased } of this.fleet.nodes) {
      if (!leased) continue;
      const summary = this.scheduler.summaryOf(id);
      const text = JSON.stringify(summary);
      const told = this.told.get(id);
      if (told?.text === text && nowMs - told.atMs < SUMMARY_REPEATED_MS) continue;
      this.told.set(id, { text, atMs: nowMs });
      news.push([id, summary]);
    }
    void this.broadcast.publish('lanes', news);
  }

  /** Many leases gained in one round need one look. */
  private holdSoon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.attempt(() => this.hold()), GATHER_MS);
  }

  private async hold(ids?: readonly string[]): Promise<void> {
    this.scheduler.hold(await this.jobs.queued(ids));
  }

  private attempt(act: () => Promise<void>): void {
    act().catch((error: unknown) => this.log.warn(`News could not be acted on: ${messageOf(error)}`));
  }
}
