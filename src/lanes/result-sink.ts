import { Injectable, Logger } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import type { DeliveredJob } from '../dispatch/dispatcher.js';
import { Scheduler } from '../dispatch/scheduler.js';
import { messageOf } from '../errors.js';
import { AttemptsRepository } from '../jobs/attempts.repository.js';
import { failureResult } from '../jobs/job-state.js';
import { JobsRepository } from '../jobs/jobs.repository.js';
import { ResultsStore, type FinishedAttempt } from '../jobs/results-store.js';
import { keptStreamResult } from '../jobs/stream-result.js';
import type { Exhaustion } from '../jobs/attempts.repository.js';
import { Retries } from '../jobs/retries.js';
import { Metrics, type AttemptOutcome } from '../metrics/metrics.js';
import { Broadcast } from '../persistence/broadcast.js';
import type { FleetNode } from '../nodes/node.js';
import type { NodeEnding, ResultSink } from '../results/collector.js';

/** How long a node is left alone that hides our jobs, in ms. */
const HIDDEN_PAUSE_MS = 60_000;

/** It is not on the node any more, for no fault that teaches anything. */
const GONE: NodeEnding = { ending: 'gone', unseenMs: 0, overtook: 0 };

type Ended = (job: DeliveredJob, end: NodeEnding, outcome: AttemptOutcome) => void;

/** What a collector's findings mean for the rest of the gateway: committed first, then the place on the node is free. */
@Injectable()
export class ResultSinks {
  private readonly log = new Logger(ResultSinks.name);

  constructor(
    private readonly settings: Settings,
    private readonly scheduler: Scheduler,
    private readonly attempts: AttemptsRepository,
    private readonly results: ResultsStore,
    private readonly retries: Retries,
    private readonly jobs: JobsRepository,
    private readonly broadcast: Broadcast,
    private readonly metrics: Metrics,
  ) {}

  /** @param onEnded called when a job is over on the node */
  for(node: FleetNode, onEnded: () => void): ResultSink {
    const { scheduler, attempts, results, settings } = this;
    const ended: Ended = (job, { ending, unseenMs, overtook }, outcome) => {
      this.tell(node, job, outcome);
      scheduler.ended(job, ending, unseenMs, overtook);
      onEnded();
    };
    return {
      async finish(job, finished, end) {
        const isStream = job.jobKind === 'stream' && finished.state === 'succeeded';
        const kept = isStream ? keptStream(job, finished, settings.streamOutputBytes) : finished;
        await results.finish(kept);
        ended(job, end(), kept.state);
      },
      async confirm({ attempt }) {
        await attempts.accepted(attempt, undefined);
      },
      retry: async (job, verdict, finished, end) => {
        if (job.jobKind === 'stream') {
          const last =
            verdict.lastResort === 'as-it-is'
              ? finished
              : gaveUp(job, { failures: 1, expired: false }, 'failed');
          await results.finish({ ...last, reason: verdict.reason });
          return ended(job, end(), 'failed');
        }
        const limit = Math.min(settings.maxAttempts, verdict.limit ?? Infinity);
        const last = (exhaustion: Exhaustion): FinishedAttempt =>
          verdict.lastResort === 'as-it-is' ? finished : gaveUp(job, exhaustion, 'failed');
        await this.retries.take(job.attempt, { state: 'failed', reason: verdict.reason }, limit, last);
        ended(job, end(), 'failed');
      },
      lost: async (job, reason) => {
        if (job.jobKind === 'stream') return this.loseStream(job, reason, ended);
        const last = (end: Exhaustion): FinishedAttempt => gaveUp(job, end, 'lost');
        await this.retries.take(job.attempt, { state: 'lost', reason }, settings.maxAttempts, last);
        ended(job, GONE, 'lost');
      },
      absent: async (job, reason) => {
        if (job.jobKind === 'stream') return this.loseStream(job, reason, ended);
        const { attempt } = job;
        const requeued = await attempts.requeue(attempt, { state: 'lost', reason });
        if (!requeued) await results.finishSuperseded(attempt.id, reason);
        ended(job, GONE, 'lost');
        if (!requeued) return;
        scheduler.hold(await this.jobs.queued([attempt.jobId]));
        await this.broadcast.publish('queued', [attempt.jobId]);
      },
      silent() {
        scheduler.faulted(node.id);
      },
      hidden: () => {
        const message =
          'it accepts jobs and does not show them: does each request reach it from another address (EGRESS_GROUP)?';
        node.lastError = { message, at: new Date() };
        this.log.error({ node: node.config.name }, message);
        scheduler.paused(node.id, HIDDEN_PAUSE_MS);
      },
    };
  }

  private tell(node: FleetNode, { attempt }: DeliveredJob, outcome: AttemptOutcome): void {
    const { name } = node.config;
    this.metrics.attemptEnded(name, outcome);
    const fields = { jobId: attempt.jobId, attemptId: attempt.id, node: name };
    if (outcome === 'lost') this.log.warn(fields, 'The attempt is lost');
    else this.log.debug(fields, `The attempt ${outcome}`);
  }

  /** A stream that its relay has lost, and then its node: nobody listens any more, so it is not run again. */
  private async loseStream(job: DeliveredJob, reason: string, ended: Ended): Promise<void> {
    const { attempt, containers } = job;
    const error = 'The stream was cut off, and the node could not say how it ended';
    await this.results.finish({
      attempt,
      attemptState: 'lost',
      state: 'failed',
      reason,
      result: failureResult(containers, error),
      intermediate: null,
    });
    ended(job, GONE, 'lost');
  }
}

/** What is kept of a stream. One that is too long and cannot be read either is failed: asked again, the node would give the same. */
function keptStream(
  { containers }: DeliveredJob,
  finished: FinishedAttempt,
  keepBytes: number,
): FinishedAttempt {
  try {
    return { ...finished, result: keptStreamResult(finished.result, keepBytes) };
  } catch (error) {
    const why = 'The result is too long to be kept whole, and could not be read';
    const reason = `${why}: ${messageOf(error)}`;
    return { ...finished, state: 'failed', reason, result: failureResult(containers, why) };
  }
}

/** What the application reads when no attempts are left. Reasons are for operators: they may name hosts. */
function gaveUp(
  { attempt, containers }: DeliveredJob,
  { failures, expired }: Exhaustion,
  attemptState: 'failed' | 'lost',
): FinishedAttempt {
  const last = attemptState === 'lost' ? 'the node lost it' : 'the container could not be used';
  const attempts = `${failures} failed attempt${failures === 1 ? '' : 's'}`;
  const why = expired ? `The deadline passed after ${attempts}` : `The gateway gave up after ${attempts}`;
  const reason = `${why}; at the last one ${last}`;
  return {
    attempt,
    attemptState,
    state: 'failed',
    reason,
    result: failureResult(containers, reason),
    intermediate: null,
  };
}
