import { Injectable } from '@nestjs/common';
import type { Attempt, JobKind } from '../dispatch/attempt-store.js';
import type { JobNeeds } from '../dispatch/policy/placement.js';
import { Prisma } from '../generated/prisma/client.js';
import { Database } from '../persistence/database.js';
import { plainArray } from '../persistence/plain-array.js';
import type { JobState } from './job-state.js';
import type { StoredJob } from './result-list.js';

/** An attempt that has not ended, as a restart finds it. */
export interface OpenAttempt {
  readonly attempt: Omit<Attempt, 'fence'>;
  readonly jobKind: JobKind;
  readonly containers: readonly string[];
  readonly state: 'sending' | 'running';
  readonly nodeJobId: string;
  /** How long ago the node accepted it, or it was made, by the clock of the database, which wrote that down; in ms. */
  readonly ageMs: number;
  readonly egressGroup: string;
  readonly traceparent?: string | undefined;
}

type OpenRow = Omit<OpenAttempt, 'attempt' | 'traceparent'> &
  OpenAttempt['attempt'] & { readonly traceparent: string | null };

/** In SQL, the `features` of a job's needs. */
const featuresNeeded = Prisma.sql`CASE WHEN requires_proof THEN ARRAY['proof'] ELSE '{}' END AS features`;

/** Reads jobs. */
@Injectable()
export class JobsRepository {
  constructor(private readonly database: Database) {}

  /** Those of these jobs that belong to the caller, with their results; in no order. */
  async find(caller: string, ids: readonly string[]): Promise<StoredJob[]> {
    return this.database.prepared<StoredJob>`
      SELECT jobs.id, jobs.state::text AS state, result, intermediate
      FROM jobs LEFT JOIN job_results ON job_results.job_id = jobs.id AND job_results.generation = jobs.generation
      WHERE jobs.id = ANY(${plainArray(ids)}::uuid[]) AND caller = ${caller}`;
  }

  /** Ids of the caller's jobs and of what it recorded itself, in no order; unfinished ones, finished ones, or all. */
  async idsOf(caller: string, pending: boolean | undefined): Promise<string[]> {
    // A statement for each, so that none is planned for another's share of the table.
    const rows =
      pending === undefined
        ? await this.database.prepared<{ id: string }>`
            SELECT id::text FROM jobs WHERE caller = ${caller}
            UNION ALL SELECT id FROM recorded_statuses WHERE caller = ${caller}`
        : pending
          ? await this.database.prepared<{ id: string }>`
              SELECT id::text FROM jobs WHERE caller = ${caller} AND finished_at IS NULL
              UNION ALL SELECT id FROM recorded_statuses WHERE caller = ${caller} AND state = 'running'`
          : await this.database.prepared<{ id: string }>`
              SELECT id::text FROM jobs WHERE caller = ${caller} AND finished_at IS NOT NULL
              UNION ALL SELECT id FROM recorded_statuses WHERE caller = ${caller} AND state <> 'running'`;
    return rows.map(({ id }) => id);
  }

  /** Undefined if there is no such job. */
  async stateOf(id: string): Promise<JobState | undefined> {
    return (await this.database.job.findUnique({ where: { id }, select: { state: true } }))?.state;
  }

  /** Jobs that wait for a node, in order of arrival: all, or those of the given ids. */
  async queued(ids?: readonly string[]): Promise<JobNeeds[]> {
    return this.database.$queryRaw<JobNeeds[]>`
      SELECT id, containers, ${featuresNeeded}, ARRAY(
        SELECT node_id FROM attempts
        WHERE attempts.job_id = jobs.id AND attempts.generation = jobs.generation AND attempts.state = 'refused') AS avoid, ARRAY(
        SELECT DISTINCT node_id FROM attempts
        WHERE attempts.job_id = jobs.id AND attempts.generation = jobs.generation
          AND attempts.state IN ('failed', 'lost')) AS shun
      FROM jobs WHERE state = 'queued' AND (${ids ?? null}::uuid[] IS NULL OR id = ANY(${ids ?? null}::uuid[]))
      ORDER BY id`;
  }

  /** Attempts that have not ended on these nodes, whoever made them. */
  async openOn(nodeIds: readonly string[]): Promise<OpenAttempt[]> {
    const rows = await this.database.$queryRaw<OpenRow[]>`
      SELECT attempts.id, job_id AS "jobId", node_id AS "nodeId", number, attempts.state::text AS state,
             coalesce(node_job_id, attempts.id::text) AS "nodeJobId", egress_group AS "egressGroup", containers,
             kind::text AS "jobKind", traceparent,
             extract(epoch FROM now() - coalesce(accepted_at, attempts.created_at))::float8 * 1000 AS "ageMs"
      FROM attempts JOIN jobs ON jobs.id = job_id
      WHERE node_id = ANY(${nodeIds}::uuid[]) AND attempts.finished_at IS NULL
        AND attempts.state IN ('sending', 'running')`;
    return rows.map(({ id, jobId, nodeId, number, traceparent, ...open }) => ({
      ...open,
      attempt: { id, jobId, nodeId, number },
      traceparent: traceparent ?? undefined,
    }));
  }

  /** `retrying` → `queued`: these jobs, whatever time was set. @returns those that were */
  async requeueRetrying(ids: readonly string[]): Promise<string[]> {
    const rows = await this.database.$queryRaw<{ id: string }[]>`
      UPDATE jobs SET state = 'queued', retry_at = NULL
      WHERE id = ANY(${ids}::uuid[]) AND state = 'retrying' RETURNING id`;
    return rows.map(({ id }) => id);
  }

  /**
   * Takes everything unfinished away from a node, back to `queued`; streams are left to whoever relays them.
   * @returns the jobs, in order of arrival
   */
  async takeBackFrom(nodeId: string, reason: string): Promise<JobNeeds[]> {
    return this.database.$queryRaw<JobNeeds[]>`
      WITH ended AS (
        UPDATE attempts SET state = 'lost', reason = ${reason}, finished_at = now() FROM jobs
        WHERE node_id = ${nodeId}::uuid AND attempts.finished_at IS NULL AND jobs.id = job_id AND jobs.kind <> 'stream'
        RETURNING job_id, attempts.generation),
      back AS (
        UPDATE jobs SET state = 'queued' FROM ended
        WHERE jobs.id = ended.job_id AND jobs.generation = ended.generation AND state IN ('sending', 'running')
          AND NOT EXISTS (
            SELECT 1 FROM attempts WHERE attempts.job_id = jobs.id AND attempts.generation = jobs.generation
              AND node_id <> ${nodeId}::uuid AND finished_at IS NULL)
        RETURNING jobs.id, containers, requires_proof)
      SELECT id, containers, ${featuresNeeded} FROM back ORDER BY id`;
  }

  /** Deletes jobs that ended before a time, the oldest first, with all that belongs to them. @returns how many */
  async deleteFinishedBefore(before: Date, limit: number): Promise<number> {
    return this.database.$executeRaw`
      DELETE FROM jobs WHERE id IN (
        SELECT id FROM jobs WHERE finished_at < ${before} ORDER BY finished_at LIMIT ${limit})`;
  }
}
