import { InjectQueue, Processor, WorkerHost } from '@nestjs/bullmq';
import { Logger, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import type { Job, Queue } from 'bullmq';
import { messageOf } from '../errors.js';
import { QUEUES, type Duty } from '../queue/queue-names.js';
import { Retention } from './retention.js';
import { Sweep } from './sweep.js';

/** How often each duty runs, in ms. */
const EVERY_MS: Readonly<Record<Duty, number>> = { sweep: 5_000, retention: 60_000 };
/** How often the schedulers are made anew if the queue's store has lost them, in ms. */
const RENEW_MS = 5_000;

/** Runs the periodic duties. BullMQ's schedulers see to it that each runs on one replica at a time. */
@Processor(QUEUES.duties)
export class DutiesProcessor extends WorkerHost implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly log = new Logger(DutiesProcessor.name);
  private readonly duties: Readonly<Record<Duty, () => Promise<unknown>>>;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    @InjectQueue(QUEUES.duties) private readonly queue: Queue,
    sweep: Sweep,
    retention: Retention,
  ) {
    super();
    this.duties = { sweep: () => sweep.runOnce(), retention: () => retention.runOnce() };
  }

  /** A store that is away now does not stop the start: the schedulers are made when it is back. */
  onApplicationBootstrap(): void {
    void this.schedule();
    this.timer = setInterval(() => void this.schedule(), RENEW_MS);
  }

  beforeApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  async process(job: Job): Promise<void> {
    await this.duties[job.name as Duty]();
  }

  private async schedule(): Promise<void> {
    try {
      for (const [duty, every] of Object.entries(EVERY_MS)) {
        const known = await this.queue.getJobScheduler(duty);
        if (known?.every !== every) await this.queue.upsertJobScheduler(duty, { every }, { name: duty });
      }
    } catch (error) {
      this.log.warn(`The periodic duties could not be scheduled: ${messageOf(error)}`);
      await this.runHere();
    }
  }

  /** Without a queue every replica does the duties itself; done twice, they do nothing the second time. */
  private async runHere(): Promise<void> {
    for (const [duty, run] of Object.entries(this.duties)) {
      await run().catch((error: unknown) => this.log.warn(`The duty ${duty} failed: ${messageOf(error)}`));
    }
  }
}
