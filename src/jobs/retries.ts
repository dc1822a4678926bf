import { InjectQueue } from '@nestjs/bullmq';
import { Injectable, Logger } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { Settings } from '../config/settings.js';
import type { Attempt, AttemptEnding } from '../dispatch/attempt-store.js';
import { messageOf } from '../errors.js';
import { Metrics } from '../metrics/metrics.js';
import { QUEUES, type RetryPayload } from '../queue/queue-names.js';
import { AttemptsRepository, type Exhaustion } from './attempts.repository.js';
import { ResultsStore, type FinishedAttempt } from './results-store.js';

/**
 * Attempts that failed after they had reached a node: the job goes again after a pause that doubles with each failure,
 * or ends with what the last attempt left. The pause is a delayed message; if it gets lost, the sweep finds the job.
 */
@Injectable()
export class Retries {
  private readonly log = new Logger(Retries.name);

  constructor(
    private readonly attempts: AttemptsRepository,
    private readonly results: ResultsStore,
    private readonly settings: Settings,
    @InjectQueue(QUEUES.retries) private readonly queue: Queue<RetryPayload>,
    private readonly metrics: Metrics,
  ) {}

  /**
   * @param limit how many failures the job may have in all
   * @param lastResort how the job ends if there is no further attempt
   */
  async take(
    attempt: Attempt,
    ending: AttemptEnding,
    limit: number,
    lastResort: (end: Exhaustion) => FinishedAttempt,
  ): Promise<void> {
    const { retryBaseMs: baseMs, retryMaxMs: maxMs } = this.settings;
    // Less a random part of up to half, so that jobs that failed together do not come back together.
    const pauses = { baseMs, maxMs, share: 0.5 + Math.random() / 2 };
    const outcome = await this.attempts.retry(attempt, ending, limit, pauses);
    if (outcome.kind === 'exhausted') await this.results.finish(lastResort(outcome));
    else if (outcome.kind === 'retrying') void this.announce(attempt.jobId, outcome.delayMs);
    // A stale attempt of a job that is over still has to be closed; the store records it as superseded.
    else await this.results.finishSuperseded(attempt.id, ending.reason);
  }

  private async announce(jobId: string, delayMs: number): Promise<void> {
    this.metrics.jobRetried();
    try {
      await this.queue.add('retry', { jobId }, { delay: Math.round(delayMs) });
    } catch (error) {
      this.log.warn({ jobId }, `The retry is left to the sweep: ${messageOf(error)}`);
    }
  }
}
