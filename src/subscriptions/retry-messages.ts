import { InjectQueue } from '@nestjs/bullmq';
import { Injectable, Logger } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { messageOf } from '../errors.js';
import { QUEUES, type RetryPayload } from '../queue/queue-names.js';

/** Delayed messages that bring open subscriptions back; one that gets lost is replaced by the sweep. */
@Injectable()
export class RetryMessages {
  private readonly log = new Logger(RetryMessages.name);

  constructor(@InjectQueue(QUEUES.retries) private readonly queue: Queue<RetryPayload>) {}

  /** Sends one. Never throws. */
  async announce(subscriptionId: string, delayMs: number): Promise<void> {
    try {
      await this.queue.add('subscription', { subscriptionId }, { delay: Math.ceil(delayMs) });
    } catch (error) {
      this.log.warn(`Subscription ${subscriptionId} is left to the sweep: ${messageOf(error)}`);
    }
  }
}
