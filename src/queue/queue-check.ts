import { InjectQueue } from '@nestjs/bullmq';
import { Injectable } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { QUEUES, type Duty } from './queue-names.js';

const ANY_DUTY: Duty = 'sweep';

/** Looks whether the store of the queues answers. */
@Injectable()
export class QueueCheck {
  constructor(@InjectQueue(QUEUES.duties) private readonly queue: Queue) {}

  /** Never throws. */
  async answers(): Promise<boolean> {
    try {
      await this.queue.getJobScheduler(ANY_DUTY);
      return true;
    } catch {
      return false;
    }
  }
}
