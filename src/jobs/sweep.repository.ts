import { Injectable } from '@nestjs/common';
import { Prisma } from '../generated/prisma/client.js';
import { Database } from '../persistence/database.js';

/** Jobs taken by one statement. */
const STEP = 1_000;

/** Finds jobs whose ordinary owner has lost sight of them. */
@Injectable()
export class SweepRepository {
  constructor(private readonly database: Database) {}

  /** `retrying` → `queued`, for those whose time has passed and whom no message has brought back. */
  async requeueOverdueRetries(): Promise<string[]> {
    return idsOf(
      await this.database.$queryRaw`
        UPDATE jobs SET state = 'queued', retry_at = NULL WHERE id IN (
          SELECT id FROM jobs WHERE state = 'retrying' AND retry_at < now() - interval '3 seconds'
          ORDER BY retry_at LIMIT ${STEP} FOR UPDATE SKIP LOCKED)
        AND state = 'retrying' RETURNING id`,
    );
  }

  /** `sending` or `running` → `queued`, where no attempt is open on a node that still exists. */
  async requeueOrphans(): Promise<string[]> {
    return idsOf(
      await this.database.$queryRaw`
        WITH gone AS (
          UPDATE attempts SET state = 'lost', reason = 'the node was removed', finished_at = now()
          FROM nodes, jobs WHERE nodes.id = attempts.node_id AND nodes.state = 'removed' AND attempts.finished_at IS NULL
            AND jobs.id = attempts.job_id AND jobs.kind <> 'stream'
          RETURNING attempts.id)
        UPDATE jobs SET state = 'queued' WHERE id IN (
          SELECT id FROM jobs
          WHERE finished_at IS NULL AND state IN ('sending', 'running') AND kind <> 'stream' AND created_at < now() - interval '10 seconds'
            AND NOT EXISTS (
              SELECT 1 FROM attempts WHERE attempts.job_id = jobs.id AND attempts.finished_at IS NULL
              AND attempts.generation = jobs.generation
              AND attempts.id NOT IN (SELECT id FROM gone))
          LIMIT ${STEP} FOR UPDATE SKIP LOCKED)
        AND state IN ('sending', 'running') RETURNING id`,
    );
  }

  /** Streams on nodes that were removed, once whoever relayed them had time to say how they ended → `failed`. */
  async failOrphanedStreams(): Promise<string[]> {
    return idsOf(
      await this.database.$queryRaw`
        WITH gone AS (
          UPDATE attempts SET state = 'lost', reason = 'the node was removed', finished_at = now() FROM nodes, jobs
          WHERE nodes.id = node_id AND nodes.state = 'removed' AND nodes.updated_at < now() - interval '10 seconds'
            AND attempts.finished_at IS NULL AND jobs.id = job_id AND jobs.kind = 'stream' RETURNING job_id),
        failed AS (
          UPDATE jobs SET state = 'failed', finished_at = now() FROM gone
          WHERE jobs.id = job_id AND jobs.finished_at IS NULL RETURNING jobs.id, generation, containers[1] AS container)
        ${resultsOfFailed('The node was removed while it streamed')}`,
    );
  }

  /** Streams without an open attempt: no collector looks for them, and whoever relayed them has left them so → `failed`. */
  async failLeftStreams(): Promise<string[]> {
    return idsOf(
      await this.database.$queryRaw`
        WITH failed AS (
          UPDATE jobs SET state = 'failed', finished_at = now() WHERE id IN (
            SELECT id FROM jobs
            WHERE finished_at IS NULL AND state IN ('sending', 'running') AND kind = 'stream' AND created_at < now() - interval '10 seconds'
              AND NOT EXISTS (
                SELECT 1 FROM attempts WHERE attempts.job_id = jobs.id AND attempts.finished_at IS NULL
                AND attempts.generation = jobs.generation)
            LIMIT ${STEP} FOR UPDATE SKIP LOCKED)
          AND finished_at IS NULL RETURNING id, generation, containers[1] AS container)
        ${resultsOfFailed('The stream was cut off, and no node has it any more')}`,
    );
  }

  /** Jobs that wait for long, so that every replica hears of them again. */
  async oldestQueued(): Promise<string[]> {
    return idsOf(
      await this.database.$queryRaw`
        SELECT id FROM jobs WHERE state = 'queued' AND created_at < now() - interval '10 seconds'
        ORDER BY id LIMIT ${STEP}`,
    );
  }

  /** Waiting jobs past their deadline → `failed`. */
  async failExpired(): Promise<string[]> {
    return idsOf(
      await this.database.$queryRaw`
        WITH failed AS (
          UPDATE jobs SET state = 'failed', finished_at = now(), retry_at = NULL WHERE id IN (
            SELECT id FROM jobs WHERE finished_at IS NULL AND state IN ('queued', 'retrying') AND deadline_at < now()
            LIMIT ${STEP} FOR UPDATE SKIP LOCKED)
          RETURNING id, generation, containers[1] AS container)
        ${resultsOfFailed('The deadline passed before a node could finish this job')}`,
    );
  }
}

/** The end of a statement whose part `failed` has failed jobs: writes down why, and gives their ids. */
function resultsOfFailed(error: string): Prisma.Sql {
  return Prisma.sql`
    INSERT INTO job_results (job_id, generation, result)
    SELECT id, generation, convert_to(
      '{"container":' || to_json(container)::text || ',"error":' || to_json(${error}::text)::text || '}', 'UTF8')
    FROM failed RETURNING job_id AS id`;
}

function idsOf(rows: unknown): string[] {
  return (rows as { id: string }[]).map(({ id }) => id);
}
