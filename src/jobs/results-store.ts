import { Injectable } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import type { Attempt } from '../dispatch/attempt-store.js';
import { arrivedAt, Metrics } from '../metrics/metrics.js';
import { Broadcast } from '../persistence/broadcast.js';
import { Database, storableText } from '../persistence/database.js';
import { packBytes } from '../persistence/packed-bytes.js';
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
 * No lease is asked for: a result is true whoever brings it.
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
      FROM jobs WHERE jobs.id = attempts.job_id AND attempts.id = ${attemptId}::uuid AND attempts.finished_at IS NULL
        AND (jobs.finished_at IS NOT NULL OR jobs.generation <> attempts.generation)`;
  }

  private async write(items: readonly FinishedAttempt[]): Promise<void[]> {
    const bytes = packBytes(items.flatMap(({ result, intermediate }) => [result, intermediate]));
    const even = (_: unknown, index: number): boolean => index % 2 === 0;
    const odd = (_: unknown, index: number): boolean => index % 2 === 1;
    const over = await this.database.prepared<{ id: string; won: boolean; succeeded: boolean }>`
      WITH input AS (
        SELECT * FROM unnest(
          ${items.map(({ attempt }) => attempt.id)}::uuid[],
          ${items.map(({ attempt }) => attempt.jobId)}::uuid[],
          ${items.map(({ state }) => state)}::text[],
          ${items.map(({ state, attemptState }) => attemptState ?? state)}::text[],
          ${items.map(({ reason }) => (reason === null ? null : storableText(reason)))}::text[],
          ${items.map(({ attempt }) => this.acceptances.take(attempt.id))}::float8[],
          ${bytes.offsets.filter(even)}::int[],
          ${bytes.lengths.filter(even)}::int[],
          ${bytes.offsets.filter(odd)}::int[],
          ${bytes.lengths.filter(odd)}::int[]
        ) AS t(attempt_id, job_id, state, attempt_state, reason, accepted_ago_ms, result_at, result_length,
               intermediate_at, intermediate_length)),
      packed AS (SELECT ${bytes.all}::bytea AS results),
      -- Of two attempts of one job in the same group the first one counts; one of an earlier generation never does.
      candidate AS (
        SELECT DISTINCT ON (input.job_id) input.* FROM input
        JOIN attempts ON attempts.id = attempt_id
        JOIN jobs ON jobs.id = input.job_id AND jobs.generation = attempts.generation
        ORDER BY input.job_id, attempt_id),
      won AS (
        UPDATE jobs SET state = candidate.state::job_state, finished_at = now(), retry_at = NULL
        FROM candidate JOIN attempts ON attempts.id = candidate.attempt_id
        WHERE jobs.id = candidate.job_id AND jobs.finished_at IS NULL AND attempts.generation = jobs.generation
        RETURNING jobs.id, candidate.attempt_id, jobs.generation),
      ended AS (
        UPDATE attempts SET
          state = (CASE WHEN won.id IS NULL THEN 'superseded' ELSE input.attempt_state END)::attempt_state,
          reason = input.reason, finished_at = now(),
          accepted_at = coalesce(accepted_at, now() - make_interval(secs => input.accepted_ago_ms / 1000))
        FROM input LEFT JOIN won ON won.attempt_id = input.attempt_id
        WHERE attempts.id = input.attempt_id AND attempts.finished_at IS NULL),
      spent AS (
        DELETE FROM job_requests USING candidate JOIN won ON won.id = candidate.job_id
        WHERE job_requests.job_id = won.id AND candidate.state = 'succeeded' AND NOT ${this.settings.keepRequests}),
      stored AS (
        INSERT INTO job_results (job_id, generation, result, intermediate)
        SELECT job_id, generation, substring(results FROM result_at FOR result_length),
               substring(results FROM intermediate_at FOR intermediate_length)
        FROM packed, candidate JOIN won ON won.id = candidate.job_id)
      -- Those that were over before count: of a commit whose answer was lost nobody has heard yet.
      SELECT DISTINCT input.job_id AS id, won.id IS NOT NULL AS won, candidate.state = 'succeeded' AS succeeded
      FROM input JOIN jobs ON jobs.id = input.job_id
      LEFT JOIN candidate ON candidate.job_id = input.job_id LEFT JOIN won ON won.id = input.job_id
      WHERE jobs.finished_at IS NOT NULL OR won.id IS NOT NULL`;
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
