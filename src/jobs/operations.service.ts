import { Injectable } from '@nestjs/common';
import { Scheduler } from '../dispatch/scheduler.js';
import { GatewayError } from '../errors.js';
import { arrivedAt, Metrics } from '../metrics/metrics.js';
import { Broadcast } from '../persistence/broadcast.js';
import { JobEvents } from './job-events.js';
import { failureResult } from './job-state.js';
import { JobsRepository } from './jobs.repository.js';
import {
  OperationsRepository,
  type JobFilter,
  type JobRecord,
  type StoredJobRow,
} from './operations.repository.js';

/** Jobs taken by one step of a retry of many. */
const STEP = 500;

/** What operators do with jobs. */
@Injectable()
export class OperationsService {
  constructor(
    private readonly operations: OperationsRepository,
    private readonly jobs: JobsRepository,
    private readonly scheduler: Scheduler,
    private readonly events: JobEvents,
    private readonly broadcast: Broadcast,
    private readonly metrics: Metrics,
  ) {}

  /** A page of jobs, newest first. @param before the last job of the page before */
  async list(filter: JobFilter, before: string | undefined, limit: number): Promise<StoredJobRow[]> {
    return this.operations.list(filter, before, limit);
  }

  /** @throws GatewayError NOT_FOUND */
  async find(id: string): Promise<JobRecord> {
    const record = await this.operations.find(id);
    if (record === undefined) throw new GatewayError('NOT_FOUND', `There is no job ${id}`, { id });
    return record;
  }

  /**
   * Ends a job now. A node that has it runs on; its slot stays counted and its result is recorded and ignored.
   * @throws GatewayError NOT_FOUND, JOB_NOT_OPEN
   */
  async cancel(id: string): Promise<JobRecord> {
    const { job } = await this.find(id);
    const cancelled = await this.operations.cancel(id, (containers) =>
      failureResult(containers, 'The job was cancelled by an operator'),
    );
    if (!cancelled) {
      throw new GatewayError('JOB_NOT_OPEN', `The job has ended already: ${job.state}`, { state: job.state });
    }
    this.metrics.jobEnded('cancelled', Date.now() - arrivedAt(id));
    this.events.emit('finished', id);
    await this.broadcast.publish('finished', [id]);
    return this.find(id);
  }

  /**
   * Starts a failed or cancelled job anew; its former result stays in the timeline.
   * @throws GatewayError NOT_FOUND, JOB_NOT_ENDED
   */
  async retry(id: string): Promise<JobRecord> {
    const { job } = await this.find(id);
    if (job.kind === 'stream') {
      throw new GatewayError('JOB_NOT_ENDED', 'A stream is not run again: nobody listens any more', {
        state: job.state,
      });
    }
    if ((await this.retryIds([id])) === 0) {
      const message = `Only a failed or cancelled job can be retried; this one is ${job.state}`;
      throw new GatewayError('JOB_NOT_ENDED', message, { state: job.state });
    }
    return this.find(id);
  }

  /** Starts all failed jobs anew that match. @returns how many */
  async retryFailed(filter: Omit<JobFilter, 'status'>): Promise<number> {
    let total = 0;
    let before: string | undefined;
    for (;;) {
      const page = await this.operations.list({ ...filter, status: 'failed' }, before, STEP);
      if (page.length === 0) return total;
      total += await this.retryIds(page.map(({ id }) => id));
      before = page.at(-1)?.id;
    }
  }

  private async retryIds(ids: readonly string[]): Promise<number> {
    const retried = await this.operations.retry(ids);
    this.scheduler.hold(await this.jobs.queued(retried));
    await this.broadcast.publish('queued', retried);
    return retried.length;
  }
}
