import { Injectable } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import {
  AttemptStore,
  type Attempt,
  type AttemptEnding,
  type Claim,
  type ClaimedJob,
  type NewJob,
} from '../dispatch/attempt-store.js';
import type { Decision } from '../dispatch/policy/placement.js';
import { Prisma } from '../generated/prisma/client.js';
import { Metrics } from '../metrics/metrics.js';
import { Database, storableText } from '../persistence/database.js';
import { packBytes } from '../persistence/packed-bytes.js';
import { plainArray } from '../persistence/plain-array.js';
import { WriteGroup } from '../persistence/write-group.js';
import { AcceptancesRepository } from './acceptances.repository.js';
import { failureResult } from './job-state.js';
import { ResultsStore } from './results-store.js';
import { uuidv7 } from '../protocol/uuid.js';

interface Admission {
  readonly job: NewJob;
  readonly first: Attempt | undefined;
}

interface ClaimRow {
  /** Of the wish that it answers, from 1. */
  readonly nth: number;
  readonly leased: boolean;
  readonly id: string | null;
  readonly number: number | null;
  readonly body: Buffer | null;
  readonly traceparent: string | null;
}

/** Why a job may not go again: it has failed too often, or its deadline has passed. */
export interface Exhaustion {
  /** Of this generation, the last one included. */
  readonly failures: number;
  readonly expired: boolean;
}

/** How a retry was taken. */
export type RetryOutcome =
  /** The job waits for it. */
  | { readonly kind: 'retrying'; readonly delayMs: number }
  /** It may not go again. */
  | ({ readonly kind: 'exhausted' } & Exhaustion)
  /** It was not ours to retry any more. */
  | { readonly kind: 'stale' };

/** How long a job waits for its next attempt: `baseMs` after its first failure, doubling, at most `maxMs`. */
export interface RetryPauses {
  readonly baseMs: number;
  readonly maxMs: number;
  /** Part of the pause that is waited, 0 to 1. */
  readonly share: number;
}

/**
 * The transitions of jobs and attempts in PostgreSQL. What happens to every job goes through group commits, one
 * statement for many jobs; what happens seldom has a statement of its own. Each is one statement, hence atomic, and
 * carries the state and the lease it expects, so that whoever comes second, or too late, changes nothing.
 *
 * What is found by its id is asked for `num_nulls(finished_at)`, not for `finished_at IS NULL`, and for `state::text`. That is no
 * index's condition, so PostgreSQL cannot go through the index of all unfinished or queued rows, which it may believe to
 * be few; docs/decisions/0022-kept-plans.md.
 */
@Injectable()
export class AttemptsRepository extends AttemptStore {
  private readonly admissions: WriteGroup<Admission, boolean>;
  private readonly claims: WriteGroup<Claim, ClaimedJob | 'gone' | 'unleased'>;

  constructor(
    private readonly database: Database,
    private readonly results: ResultsStore,
    private readonly acceptances: AcceptancesRepository,
    private readonly settings: Settings,
    metrics: Metrics,
  ) {
    super();
    const onFlush = metrics.groupCommitted.bind(metrics);
    this.admissions = new WriteGroup<Admission, boolean>({
      name: 'admissions',
      flush: (items) => this.writeAdmissions(items),
      sizeOf: ({ job }) => job.body.length,
      concurrency: 2,
      onFlush,
    });
    this.claims = new WriteGroup<Claim, ClaimedJob | 'gone' | 'unleased'>({
      name: 'claims',
      flush: (items) => this.writeClaims(items),
      maxItems: 100,
      onFlush,
    });
  }

  async admit(job: NewJob, first: Attempt | undefined): Promise<boolean> {
    return this.admissions.add({ job, first });
  }

  async claim(wish: Claim): Promise<ClaimedJob | 'gone' | 'unleased'> {
    return this.claims.add(wish);
  }

  async accepted(attempt: Attempt, nodeJobId: string | undefined): Promise<void> {
    await this.acceptances.commit(attempt, nodeJobId);
  }

  async noteAccepted(attempt: Attempt): Promise<void> {
    await this.acceptances.note(attempt);
  }

  async moveOn(attempt: Attempt, ending: AttemptEnding, next: Attempt): Promise<boolean> {
    const inserted = await this.database.$executeRaw`
      WITH ended AS (
        UPDATE attempts SET state = ${ending.state}::attempt_state, reason = ${storableText(ending.reason)}, finished_at = now()
        WHERE id = ${attempt.id}::uuid AND num_nulls(finished_at) = 1 AND ${leased(attempt)} AND ${leased(next)}
        RETURNING generation)
      INSERT INTO attempts (id, job_id, node_id, number, generation, state, egress_group, decision)
      SELECT ${next.id}::uuid, jobs.id, ${next.nodeId}::uuid, ${next.number}, jobs.generation, 'sending',
             ${this.settings.egressGroup}, nullif(${JSON.stringify(storedDecision(next))}::jsonb, 'null')
      FROM jobs JOIN ended USING (generation)
      WHERE jobs.id = ${next.jobId}::uuid AND (state = 'sending' OR (kind = 'stream' AND state = 'running'))`;
    return inserted === 1;
  }

  async requeue(attempt: Attempt, ending: AttemptEnding): Promise<boolean> {
    await this.acceptances.settle(attempt.id);
    const requeued = await this.database.$executeRaw`
      WITH ended AS (
        UPDATE attempts SET state = ${ending.state}::attempt_state, reason = ${storableText(ending.reason)}, finished_at = now()
        WHERE id = ${attempt.id}::uuid AND num_nulls(finished_at) = 1 AND ${leased(attempt)} RETURNING generation)
      UPDATE jobs SET state = 'queued' FROM ended
      WHERE id = ${attempt.jobId}::uuid AND state IN ('sending', 'running') AND jobs.generation = ended.generation
        AND NOT ${accompanied(attempt)}`;
    return requeued === 1;
  }

  /**
   * Ends an attempt that failed after it had reached the node; `sending` or `running` → `retrying`, unless the job has
   * failed `limit` times with this one or its deadline has passed.
   */
  async retry(
    attempt: Attempt,
    ending: AttemptEnding,
    limit: number,
    { baseMs, maxMs, share }: RetryPauses,
  ): Promise<RetryOutcome> {
    await this.acceptances.settle(attempt.id);
    const [row] = await this.database.$queryRaw<
      { failures: number; expired: boolean; again: boolean; delay_ms: number }[]
    >`
      WITH job AS (
        SELECT jobs.id, failures + 1 AS failures, deadline_at <= now() AS expired,
               failures + 1 < ${limit} AND deadline_at > now() AS again,
               ${accompanied(attempt)} AS accompanied,
               ${share}::float8 * least(${maxMs}::float8, ${baseMs}::float8 * 2 ^ least(failures, 30)) AS delay_ms
        FROM jobs JOIN attempts ON attempts.job_id = jobs.id AND attempts.generation = jobs.generation
        WHERE attempts.id = ${attempt.id}::uuid AND num_nulls(attempts.finished_at) = 1
          AND num_nulls(jobs.finished_at) = 1 AND ${leased(attempt)}
        FOR UPDATE OF jobs),
      ended AS (
        UPDATE attempts SET state = ${ending.state}::attempt_state, reason = ${storableText(ending.reason)}, finished_at = now()
        WHERE id = ${attempt.id}::uuid AND EXISTS (SELECT 1 FROM job WHERE again OR accompanied)),
      back AS (
        UPDATE jobs SET state = 'retrying', failures = job.failures,
               retry_at = now() + make_interval(secs => delay_ms / 1000)
        FROM job WHERE jobs.id = job.id AND again AND NOT accompanied)
      SELECT failures, expired, again, delay_ms FROM job WHERE NOT accompanied`;
    if (row === undefined) return { kind: 'stale' };
    const { failures, expired, again, delay_ms: delayMs } = row;
    return again ? { kind: 'retrying', delayMs } : { kind: 'exhausted', failures, expired };
  }

  /**
   * `running` → `queued` while its attempt on the node stays open, for a job on a node that stands still: it may be
   * started elsewhere too, and the first result counts. @returns whether it was so
   */
  async rescue(jobId: string, nodeId: string): Promise<boolean> {
    const requeued = await this.database.$executeRaw`
      UPDATE jobs SET state = 'queued' FROM attempts
      WHERE jobs.id = ${jobId}::uuid AND jobs.state = 'running' AND jobs.kind <> 'stream' AND attempts.job_id = jobs.id
        AND attempts.node_id = ${nodeId}::uuid AND num_nulls(attempts.finished_at) = 1
        AND attempts.generation = jobs.generation`;
    return requeued > 0;
  }

  async fail(
    attempt: Attempt,
    containers: readonly string[],
    ending: AttemptEnding,
    error: string,
  ): Promise<void> {
    await this.results.finish({
      attempt,
      attemptState: ending.state,
      state: 'failed',
      reason: ending.reason,
      result: failureResult(containers, error),
      intermediate: null,
    });
  }

  async withdraw(jobId: string): Promise<void> {
    await this.database.$executeRaw`
      DELETE FROM jobs WHERE id = ${jobId}::uuid AND state IN ('sending', 'queued')`;
  }

  private async writeAdmissions(items: readonly Admission[]): Promise<boolean[]> {
    const jobs = items.map(({ job }) => job);
    const bodies = packBytes(jobs.map(({ body }) => body));
    const rows = await this.database.prepared<{ id: string }>`
      WITH input AS (
        SELECT t.*, nodes.id IS NOT NULL AS sent FROM unnest(
          ${plainArray(jobs.map((job) => job.id))}::uuid[],
          ${plainArray(jobs.map((job) => job.kind ?? 'job'))}::text[],
          ${jobs.map((job) => job.caller)}::text[],
          ${plainArray(jobs.map((job) => job.requiresProof))}::bool[],
          ${jobs.map((job) => job.traceparent ?? null)}::text[],
          ${plainArray(items.map(({ first }) => first?.nodeId ?? null))}::uuid[],
          ${plainArray(items.map(({ first }) => first?.fence ?? null))}::int[],
          ${plainArray(bodies.offsets)}::int[],
          ${plainArray(bodies.lengths)}::int[]
        ) WITH ORDINALITY AS t(id, kind, caller, requires_proof, traceparent, node_id, fence, at, length, nth)
        LEFT JOIN nodes ON nodes.id = t.node_id AND lease_fence = fence AND lease_until > now()),
      job AS (
        INSERT INTO jobs (id, kind, caller, state, containers, requires_proof, traceparent, deadline_at)
        SELECT id, kind::job_kind, caller, (CASE WHEN sent THEN 'sending' ELSE 'queued' END)::job_state,
               ARRAY(SELECT jsonb_array_elements_text(
                 ${JSON.stringify(jobs.map(({ containers }) => containers))}::jsonb -> (nth - 1)::int)),
               requires_proof, traceparent, now() + make_interval(secs => ${this.settings.jobDeadline}::float8 / 1000)
        FROM input WHERE sent OR kind <> 'stream'),
      packed AS (SELECT ${bodies.all}::bytea AS bodies),
      request AS (
        INSERT INTO job_requests (job_id, body)
        SELECT id, substring(bodies FROM at FOR length) FROM input, packed WHERE sent OR kind <> 'stream')
      INSERT INTO attempts (id, job_id, node_id, number, state, egress_group, decision)
      SELECT id, id, node_id, 1, 'sending', ${this.settings.egressGroup},
             nullif(${JSON.stringify(items.map(({ first }) => storedDecision(first)))}::jsonb -> (nth - 1)::int, 'null')
      FROM input WHERE sent
      RETURNING job_id AS id`;
    const sent = new Set(rows.map(({ id }) => id));
    return items.map(({ job }) => sent.has(job.id));
  }

  private async writeClaims(items: readonly Claim[]): Promise<(ClaimedJob | 'gone' | 'unleased')[]> {
    // The first attempt's node-side id is the job's own id; later ones are new. Of several wishes for one job the UPDATE
    // takes one, and `nth` says which.
    const rows = await this.database.prepared<ClaimRow>`
      WITH input AS (
        SELECT t.*, nodes.id IS NOT NULL AS leased FROM unnest(
          ${plainArray(items.map(({ jobId }) => jobId))}::uuid[],
          ${plainArray(items.map(({ nodeId }) => nodeId))}::uuid[],
          ${plainArray(items.map(({ fence }) => fence))}::int[],
          ${plainArray(items.map(() => uuidv7()))}::uuid[]
        ) WITH ORDINALITY AS t(job_id, node_id, fence, fresh_id, nth)
        LEFT JOIN nodes ON nodes.id = t.node_id AND lease_fence = fence AND lease_until > now()),
      won AS (
        UPDATE jobs SET state = 'sending' FROM input
        WHERE jobs.id = job_id AND jobs.state::text = 'queued' AND leased
        RETURNING job_id, node_id, fresh_id, nth, generation, traceparent,
          (SELECT coalesce(max(number), 0) + 1 FROM attempts WHERE attempts.job_id = jobs.id) AS number),
      next AS (SELECT *, CASE WHEN number = 1 THEN job_id ELSE fresh_id END AS id FROM won),
      attempt AS (
        INSERT INTO attempts (id, job_id, node_id, number, generation, state, egress_group, decision)
        SELECT id, job_id, node_id, number, generation, 'sending', ${this.settings.egressGroup},
               nullif(${JSON.stringify(items.map(storedDecision))}::jsonb -> (nth - 1)::int, 'null')
        FROM next)
      SELECT nth::int, true AS leased, id, number, traceparent,
             (SELECT body FROM job_requests WHERE job_requests.job_id = next.job_id) AS body
      FROM next
      UNION ALL SELECT nth::int, false, NULL, NULL, NULL, NULL FROM input WHERE NOT leased`;
    const byWish = new Map(rows.map((row) => [row.nth, row]));
    return items.map(({ jobId, nodeId, fence }, index) => {
      const row = byWish.get(index + 1);
      if (row?.leased === false) return 'unleased';
      if (row?.id == null || row.number === null || row.body === null) return 'gone';
      return {
        attempt: { id: row.id, jobId, nodeId, number: row.number, fence },
        body: row.body,
        traceparent: row.traceparent ?? undefined,
      };
    });
  }
}

/** True in SQL while the attempt's node is leased to whoever holds this fencing number. */
function leased({ nodeId, fence }: Attempt): Prisma.Sql {
  return Prisma.sql`EXISTS (
    SELECT 1 FROM nodes
    WHERE nodes.id = ${nodeId}::uuid AND lease_fence = ${fence} AND lease_until > now())`;
}

/** Whether the job has another open attempt, made because this one's node stood still: the job goes on with that. */
function accompanied({ id, jobId }: Attempt): Prisma.Sql {
  return Prisma.sql`EXISTS (
    SELECT 1 FROM attempts AS mine JOIN attempts AS other USING (job_id, generation)
    WHERE mine.id = ${id}::uuid AND other.job_id = ${jobId}::uuid AND other.id <> mine.id AND num_nulls(other.finished_at) = 1)`;
}

/** As it is stored: times in whole ms, since nobody needs more. */
function storedDecision(attempt: Pick<Attempt, 'decision'> | undefined): Decision | null {
  const decision = attempt?.decision;
  if (decision === undefined) return null;
  const { why, expectedMs, serviceMs, ahead, slots, window, foreign, waiting } = decision;
  return {
    why,
    expectedMs: Math.round(expectedMs),
    serviceMs: Math.round(serviceMs),
    ahead,
    slots,
    window,
    foreign,
    waiting,
  };
}
