import { Injectable, Logger } from '@nestjs/common';
import { Scheduler } from '../dispatch/scheduler.js';
import { SweepRepository } from '../jobs/sweep.repository.js';
import { JobsRepository } from '../jobs/jobs.repository.js';
import { Broadcast } from '../persistence/broadcast.js';
import { JobEvents } from '../jobs/job-events.js';
import { Offering } from '../subscriptions/offering.js';
import { arrivedAt, Metrics } from '../metrics/metrics.js';

/**
 * Finds jobs, and subscriptions, without a future and gives them one: retries whose message was lost with the queue, attempts on nodes
 * that are gone, waiting jobs that some replica was not told about, jobs past their deadline. What it finds is
 * exceptional; the ordinary owners of each state never need it.
 */
@Injectable()
export class Sweep {
  private readonly log = new Logger(Sweep.name);

  constructor(
    private readonly sweep: SweepRepository,
    private readonly jobs: JobsRepository,
    private readonly scheduler: Scheduler,
    private readonly broadcast: Broadcast,
    private readonly events: JobEvents,
    private readonly offering: Offering,
    private readonly metrics: Metrics,
  ) {}

  async runOnce(): Promise<void> {
    await this.offering.sweep();
    // Each is told at once: callers find these jobs finished from here on.
    let ended = await this.tell(await this.sweep.failExpired());
    ended += await this.tell(await this.sweep.failOrphanedStreams());
    ended += await this.tell(await this.sweep.failLeftStreams());
    const revived = [...(await this.sweep.requeueOverdueRetries()), ...(await this.sweep.requeueOrphans())];
    if (ended + revived.length > 0) {
      this.log.warn(
        `Gave up ${ended} jobs past their deadline, on removed nodes or on none; found ${revived.length} without a future`,
      );
    }
    const waiting = [...revived, ...(await this.sweep.oldestQueued())];
    if (waiting.length === 0) return;
    this.scheduler.hold(await this.jobs.queued(waiting));
    await this.broadcast.publish('queued', waiting);
  }

  /** Says everywhere that these jobs failed. @returns how many they are */
  private async tell(failed: string[]): Promise<number> {
    for (const id of failed) {
      this.metrics.jobEnded('failed', Date.now() - arrivedAt(id));
      this.events.emit('finished', id);
    }
    await this.broadcast.publish('finished', failed);
    return failed.length;
  }
}
