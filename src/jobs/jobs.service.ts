import { performance } from 'node:perf_hooks';
import { Injectable } from '@nestjs/common';
import { Dispatcher } from '../dispatch/dispatcher.js';
import type { Refusal } from '../dispatch/attempt-loop.js';
import { GatewayError, messageOf } from '../errors.js';
import { Fleet } from '../nodes/fleet.js';
import type { NodeFeature } from '../protocol/node-info.js';
import { isDelegated, type Submission } from '../protocol/submission.js';
import { SubscriptionsService } from '../subscriptions/subscriptions.service.js';
import { isRecordableId } from '../protocol/status-request.js';
import { currentTraceparent } from '../tracing/tracing.js';
import { JobEvents } from './job-events.js';
import { JobsRepository } from './jobs.repository.js';
import { RecordedStatusesRepository } from './recorded-statuses.repository.js';
import { wireStatus } from './job-state.js';
import { resultList, type StoredJob } from './result-list.js';
import { uuidv7 } from '../protocol/uuid.js';

/** A job's id; a delegated subscription has none. */
export type Receipt = { readonly id: string } | Readonly<Record<string, never>>;

/** What became of a submission: it is safe, or refused in the words of a node. */
export type Answer = { readonly receipt: Receipt } | { readonly refusal: Refusal };

/** One item of a batch's answer, in the place of its request. */
export type BatchAnswer = Receipt | Pick<Refusal, 'error' | 'params'>;

/** Ids that this gateway made look like this; anything else is nobody's job. */
const JOB_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** What applications can do: hand in jobs and read what became of their own. */
@Injectable()
export class JobsService {
  constructor(
    private readonly fleet: Fleet,
    private readonly dispatcher: Dispatcher,
    private readonly jobs: JobsRepository,
    private readonly events: JobEvents,
    private readonly subscriptions: SubscriptionsService,
    private readonly statuses: RecordedStatusesRepository,
  ) {}

  /** Accepts a job or a delegated subscription durably, or refuses it as a node would. */
  async submit(request: Submission, caller: string): Promise<Answer> {
    if (isDelegated(request)) {
      const refusal = await this.subscriptions.submit(request, caller);
      return refusal === undefined ? { receipt: {} } : { refusal };
    }
    const { containers, requiresProof, body } = request;
    const features: NodeFeature[] = requiresProof ? ['proof'] : [];
    const refused = this.fleet.refusalFor(containers, features);
    if (refused !== undefined) return { refusal: { status: 405, ...refused } };
    const id = uuidv7();
    const traceparent = currentTraceparent();
    const job = { id, caller, containers, requiresProof, body, features, traceparent };
    const submission = await this.dispatcher.submit(job);
    return submission.kind === 'refused' ? { refusal: submission.refusal } : { receipt: { id } };
  }

  /**
   * Accepts what can be accepted; the answer has the order of the items. An item that could not be stored is answered
   * in its place: a failure of the whole batch would invite a repetition of what was stored.
   * @throws whatever kept every single item from being stored
   */
  async submitBatch(items: readonly (Submission | GatewayError)[], caller: string): Promise<BatchAnswer[]> {
    const answers = await Promise.allSettled(
      items.map(async (item) => {
        if (item instanceof GatewayError) return { error: item.message, params: item.params };
        const answer = await this.submit(item, caller);
        if ('receipt' in answer) return answer.receipt;
        return { error: answer.refusal.error, params: answer.refusal.params };
      }),
    );
    const stored = answers.some((answer) => answer.status === 'fulfilled' && !('error' in answer.value));
    return answers.map((answer) => {
      if (answer.status === 'fulfilled') return answer.value;
      if (!stored) throw answer.reason;
      return { error: `This item was not stored: ${messageOf(answer.reason)}`, params: {} };
    });
  }

  /**
   * The results list for these ids, as bytes ready to send. With a wait it answers as soon as one of the jobs
   * that were unfinished ends, at once if there is none, and in any case when the time is up.
   */
  async results(
    caller: string,
    ids: readonly string[],
    options: { readonly intermediate: boolean; readonly waitMs: number },
  ): Promise<Buffer> {
    const asked = [...new Set(ids.filter(isRecordableId))];
    const known = asked.filter((id) => JOB_ID.test(id));
    // Listening starts before reading, so that no end falls between the two.
    const watch = options.waitMs > 0 ? this.events.watch(known, options.waitMs) : undefined;
    try {
      let jobs = await this.read(caller, known);
      const unfinished = [...jobs.values()].filter((job) => wireStatus(job.state) === 'running');
      if (watch !== undefined && unfinished.length > 0) {
        this.events.emit(
          'wanted',
          unfinished.map((job) => job.id),
          performance.now() + options.waitMs,
        );
        await watch.ended;
        jobs = await this.read(caller, known);
      }
      // Only for what is no job of ours, so that the usual question costs no more.
      const others = asked.filter((id) => !jobs.has(id));
      if (others.length > 0)
        for (const row of await this.statuses.find(caller, others)) jobs.set(row.id, row);
      return resultList(ids, jobs, options.intermediate);
    } finally {
      watch?.stop();
    }
  }

  /** Ids of the caller's jobs: `pending` true only unfinished ones, false only finished ones. */
  async ids(caller: string, pending: boolean | undefined): Promise<string[]> {
    return this.jobs.idsOf(caller, pending);
  }

  private async read(caller: string, ids: readonly string[]): Promise<Map<string, StoredJob>> {
    const jobs = ids.length === 0 ? [] : await this.jobs.find(caller, ids);
    return new Map(jobs.map((job) => [job.id, job]));
  }
}
