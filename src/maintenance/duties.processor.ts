import { InjectQueue, Processor, WorkerHost } from '@nestjs/bullmq';
import { Logger, type OnApplicationBootstrap } from '@nestjs/common';
import type { Job, Queue } from 'bullmq';
import { messageOf } from '../errors.js';
import { QUEUES, type Duty } from '../queue/queue-names.js';
import { Retention } from './retention.js';

/** How often each duty runs, in ms. */
const EVERY_MS: Readonly<Record<Duty, number>> = { retention: 60_000 };

/** Runs the periodic duties. BullMQ's schedulers see to it that each runs on one replica at a time. */
@Processor(QUEUES.duties)
export class DutiesProcessor extends WorkerHost implements OnApplicationBootstrap {
  private readonly log = new Logger(DutiesProcessor.name);
  private readonly duties: Readonly<Record<Duty, () => Promise<unknown>>>;

  constructor(
    @InjectQueue(QUEUES.duties) private readonly queue: Queue,
    retention: Retention,
  ) {
    super();
    this.duties = { retention: () => retention.runOnce() };
  }

  /** A store that is away now does not stop the start: the schedulers are made when it is back. */
  onApplicationBootstrap(): void {
    for (const [duty, every] of Object.entries(EVERY_MS)) {
      this.queue.upsertJobScheduler(duty, { every }, { name: duty }).catch((error: unknown) => {
        this.log.error(`The duty ${duty} could not be scheduled: ${messageOf(error)}`);
      });
    }
  }

  async process(job: Job): Promise<void> {
    await this.duties[job.name as Duty]();
  }
}
