import { Processor, WorkerHost } from '@nestjs/bullmq';
import type { Job } from 'bullmq';
import { Scheduler } from '../dispatch/scheduler.js';
import { JobsRepository } from '../jobs/jobs.repository.js';
import { Broadcast } from '../persistence/broadcast.js';
import { Offering } from '../subscriptions/offering.js';
import { QUEUES, type RetryPayload } from '../queue/queue-names.js';

/** Messages handled at the same time by one replica. */
const CONCURRENCY = 20;

/** A retry's time has come: puts the job back to `queued`, at its old place, or looks at a subscription again. */
@Processor(QUEUES.retries, { concurrency: CONCURRENCY })
export class RetriesProcessor extends WorkerHost {
  constructor(
    private readonly jobs: JobsRepository,
    private readonly scheduler: Scheduler,
    private readonly broadcast: Broadcast,
    private readonly offering: Offering,
  ) {
    super();
  }

  async process({ data }: Job<RetryPayload>): Promise<void> {
    if ('subscriptionId' in data) return this.offering.advance(data.subscriptionId, 'due');
    const requeued = await this.jobs.requeueRetrying([data.jobId]);
    this.scheduler.hold(await this.jobs.queued(requeued));
    await this.broadcast.publish('queued', requeued);
  }
}
