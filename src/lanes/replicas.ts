import { Injectable, Logger } from '@nestjs/common';
import { Dispatcher } from '../dispatch/dispatcher.js';
import { messageOf } from '../errors.js';
import { JobEvents } from '../jobs/job-events.js';
import { JobsRepository } from '../jobs/jobs.repository.js';
import { NodesService } from '../nodes/nodes.service.js';
import { Broadcast } from '../persistence/broadcast.js';
import { LeaseKeeper } from './lease-keeper.js';

const GATHER_MS = 50;

/** Keeps this replica in step with the others: what one of them commits, the others hear and act on. */
@Injectable()
export class Replicas {
  private readonly log = new Logger(Replicas.name);
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly broadcast: Broadcast,
    private readonly dispatcher: Dispatcher,
    private readonly jobs: JobsRepository,
    private readonly events: JobEvents,
    private readonly nodes: NodesService,
    private readonly leases: LeaseKeeper,
  ) {}

  /** Listens from now on; takes in what waits whenever the connection was made. */
  async start(): Promise<void> {
    this.dispatcher.on('queued', (jobId) => void this.broadcast.publish('queued', [jobId]));
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
    await this.broadcast.stop();
  }

  /** Many leases gained in one round need one look. */
  private holdSoon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.attempt(() => this.hold()), GATHER_MS);
  }

  private async hold(ids?: readonly string[]): Promise<void> {
    this.dispatcher.hold(await this.jobs.queued(ids));
  }

  private attempt(act: () => Promise<void>): void {
    act().catch((error: unknown) => this.log.warn(`News could not be acted on: ${messageOf(error)}`));
  }
}
