import { Injectable } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import type { Attempt } from '../dispatch/attempt-store.js';
import { arrivedAt, Metrics } from '../metrics/metrics.js';
import { Broadcast } from '../persistence/broadcast.js';
import { Database, storableText } from '../persistence/database.js';
import { packBytes } from '../persistence/packed-bytes.js';
import { plainArray } from '../persistence/plain-array.js';
import { WriteGroup } from '../persistence/write-group.js';
import { AcceptancesRepository } from './acceptances.repository.js';
import { JobEvents } from './job-events.js';

/** How an attempt, and with it its job, ended. */
export interface FinishedAttempt {
  readonly attempt: Pick<Attempt, 'id' | 'jobId'>;
  /** How the attempt itself ended, where that differs from the job. */
  readonly attemptState?: 'refused' | 'unreachable' | 'lost' | 'failed' | undefined;
  readonly state: 'succeeded' | 'failed';
  /** In plain words, for operators; null for a success. */
  readonly reason: string | null;
  readonly result: Buffer;
  readonly intermediate: Buffer | null;
}

/** Results flushed together; each may be tens of megabytes. */
const MAX_BYTES = 16 * 1_048_576;

/**
 * Commits terminal results, many in one statement, and tells whoever waits for them. A job that is terminal already
 * keeps its result: the attempt that comes second is recorded as superseded, and so is one of an earlier generation.
 * No lease is asked for: a result is true whoever brings it. Of `num_nulls` see AttemptsRepository.
 */
@Injectable()
export class ResultsStore {
  private readonly group: WriteGroup<FinishedAttempt, void>;

  constructor(
    private readonly database: Database,
    private readonly events: JobEvents,
    private readonly broadcast: Broadcast,
    private readonly settings: Settings,
    private readonly acceptances: AcceptancesRepository,
    private readonly metrics: Metrics,
  ) {
    this.group = new WriteGroup<FinishedAttempt, void>({
      name: 'results',
      flush: (items) => this.write(items),
      sizeOf: ({ result, intermediate }) => result.length + (intermediate?.length ?? 0),
      maxBytes: MAX_BYTES,
      onFlush: metrics.groupCommitted.bind(metrics),
    });
  }

  /** Resolves when the result is committed, or was found to come second. */
  async finish(finished: FinishedAttempt): Promise<void> {
    await this.group.add(finished);
  }

  /** Closes an attempt whose job has ended, or has begun a new generation, without it. */
  async finishSuperseded(attemptId: string, reason: string): Promise<void> {
    await this.database.$executeRaw`
      UPDATE attempts SET state = 'superseded', reason = ${storableText(reason)}, finished_at = now()
      FROM jobs WHERE jobs.id = attempts.job_id AND attempts.id = ${attemptId}::uuid AND num_nulls(attempts.finished_at) = 1
        AND (jobs.finished_at IS NOT NULL OR jobs.generation <> attempts.generation)`;
  }

  private async write(items: readonly FinishedAttempt[]): Promise<void[]> {
    const bytes = packBytes(items.flatMap(({ result, intermediate }) => [result, intermediate]));
    const even = (_: unknown, index: number): boolean => index % 2 === 0;
    const odd = (_: unknown, index: number): boolean => index % 2 === 1;
    const over = await this.database.prepared<{ id: string; won: boolean; succeeded: boolean }>`
      WITH input AS (
        SELECT * FROM unnest(
          ${plainArray(items.map(({ attempt }) => attempt.id))}::uuid[],
          ${plainArray(items.map(({ attempt }) => attempt.jobId))}::uuid[],
          ${plainArray(items.map(({ state }) => state))}::text[],
          ${plainArray(items.map(({ state, attemptState }) => attemptState ?? state))}::text[],
          ${items.map(({ reason }) => (reason === null ? null : storableText(reason)))}::text[],
          ${plainArray(items.map(({ attempt }) => this.acceptances.take(attempt.id)))}::float8[],
          ${plainArray(bytes.offsets.filter(even))}::int[],
          ${plainArray(bytes.lengths.filter(even))}::int[],
          ${plainArray(bytes.offsets.filter(odd))}::int[],
          ${plainArray(bytes.lengths.filter(odd))}::int[]
        ) AS t(attempt_id, job_id, state, attempt_state, reason, accepted_ago_ms, result_at, result_length,
               intermediate_at, intermediate_length)),
      packed AS (SELECT ${bytes.all}::bytea AS results),
      -- Of two attempts of one job in the same group the first one counts; one of an earlier generation never does.
      candidate AS (
        SELECT DISTINCT ON (input.job_id, generation) input.*, generation FROM input
        JOIN attempts ON attempts.id = attempt_id
        ORDER BY input.job_id, generation, attempt_id),
      won AS (
        UPDATE jobs SET state = candidate.state::job_state, finished_at = now(), retry_at = NULL FROM candidate
        WHERE jobs.id = job_id AND jobs.generation = candidate.generation AND num_nulls(jobs.finished_at) = 1
        RETURNING candidate.*),
      ended AS (
        UPDATE attempts SET state = won.attempt_state::attempt_state, reason = won.reason, finished_at = now(),
          accepted_at = coalesce(accepted_at, now() - make_interval(secs => accepted_ago_ms / 1000))
        FROM won WHERE attempts.id = attempt_id AND num_nulls(attempts.finished_at) = 1),
      superseded AS (
        UPDATE attempts SET state = 'superseded', reason = input.reason, finished_at = now(),
          accepted_at = coalesce(accepted_at, now() - make_interval(secs => accepted_ago_ms / 1000))
        FROM input WHERE attempts.id = attempt_id AND num_nulls(attempts.finished_at) = 1
          AND attempt_id NOT IN (SELECT attempt_id FROM won)),
      spent AS (
        DELETE FROM job_requests
        WHERE job_id = ANY(ARRAY(SELECT job_id FROM won WHERE state = 'succeeded' AND NOT ${this.settings.keepRequests}))),
      stored AS (
        INSERT INTO job_results (job_id, generation, result, intermediate)
        SELECT job_id, generation, substring(results FROM result_at FOR result_length),
               substring(results FROM intermediate_at FOR intermediate_length)
        FROM packed, won)
      SELECT job_id AS id, true AS won, state = 'succeeded' AS succeeded FROM won
      -- Those that were over before: of a commit whose answer was lost nobody has heard yet.
      UNION ALL
      SELECT DISTINCT jobs.id, false, false FROM input JOIN jobs ON jobs.id = job_id
      WHERE job_id NOT IN (SELECT job_id FROM won) AND num_nulls(jobs.finished_at) = 0`;
    const now = Date.now();
    for (const { id, won, succeeded } of over) {
      if (won) this.metrics.jobEnded(succeeded ? 'succeeded' : 'failed', now - arrivedAt(id));
    }
    // A late result of an earlier generation is not the end of the one that goes on.
    const ids = over.map(({ id }) => id);
    for (const id of ids) this.events.emit('finished', id);
    void this.broadcast.publish('finished', ids);
    return items.map(() => undefined);
  }
}
