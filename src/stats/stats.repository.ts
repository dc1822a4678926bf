import { Injectable } from '@nestjs/common';
import { Database } from '../persistence/database.js';
import { BINS_PER_E } from './durations.js';

/** Unfinished jobs by state. */
export interface OpenJobs {
  readonly queued: number;
  readonly sending: number;
  readonly running: number;
  readonly retrying: number;
}

/** What was counted: jobs that came, were sent first, ended in a state, or ended without ever having been sent. */
export type Counted =
  'arrived' | 'sent' | 'succeeded' | 'failed' | 'cancelled' | 'unsent' | 'wait' | 'service';

/** So many of one thing in the span that began at `at`, in ms since 1970. */
export interface Count {
  readonly at: number;
  readonly what: Counted;
  /** Of `wait` and `service`: how long it took; see `BINS_PER_E`. */
  readonly bin: number;
  readonly count: number;
}

/** Clocks of gateways, which make the ids of jobs, may be behind the database's by so much, in ms. */
const CLOCK_SKEW_MS = 30_000;

/**
 * Counts jobs for the whole installation. Each statement reads through an index only rows that are unfinished or ended
 * lately, so its cost does not grow with the history.
 */
@Injectable()
export class StatsRepository {
  constructor(private readonly database: Database) {}

  /** What is unfinished, and what time it is by the database's clock, in ms since 1970. */
  async open(): Promise<OpenJobs & { readonly nowMs: number }> {
    const [row] = await this.database.$queryRaw<[OpenJobs & { nowMs: number }]>`
      SELECT (extract(epoch FROM now()) * 1000)::float8 AS "nowMs",
             count(*) FILTER (WHERE state = 'queued')::int AS queued,
             count(*) FILTER (WHERE state = 'sending')::int AS sending,
             count(*) FILTER (WHERE state = 'running')::int AS running,
             count(*) FILTER (WHERE state = 'retrying')::int AS retrying
      FROM jobs WHERE finished_at IS NULL`;
    return row;
  }

  /**
   * What happened from a time on, in spans of the given length. `wait` lasts from arrival to the first attempt, `service`
   * from acceptance to the end of the last attempt that ended on a node; both count when the job ends.
   */
  async countsSince(fromMs: number, stepMs: number): Promise<Count[]> {
    return this.database.$queryRaw<Count[]>`
      WITH since AS (SELECT to_timestamp(${fromMs}::float8 / 1000) AS at),
      recent AS MATERIALIZED (
        SELECT id, state, created_at, finished_at FROM jobs WHERE finished_at >= (SELECT at FROM since)
        UNION ALL
        SELECT id, state, created_at, finished_at FROM jobs
        WHERE finished_at IS NULL AND id >= ${lowestIdAt(fromMs - CLOCK_SKEW_MS)}::uuid),
      traced AS (
        SELECT recent.*, sent_at, service FROM recent, LATERAL (
          SELECT min(attempts.created_at) AS sent_at,
                 (array_agg(attempts.finished_at - accepted_at ORDER BY number DESC) FILTER (
                   WHERE attempts.state IN ('succeeded', 'failed') AND accepted_at IS NOT NULL))[1] AS service
          FROM attempts WHERE job_id = recent.id) AS trip),
      event AS (
        SELECT created_at AS at, 'arrived' AS what, NULL::interval AS took FROM traced
        UNION ALL SELECT sent_at, 'sent', NULL FROM traced
        UNION ALL SELECT finished_at, state::text, NULL FROM traced
        UNION ALL SELECT finished_at, 'unsent', NULL FROM traced WHERE sent_at IS NULL
        UNION ALL SELECT finished_at, 'wait', sent_at - created_at FROM traced WHERE sent_at IS NOT NULL
        UNION ALL SELECT finished_at, 'service', service FROM traced WHERE service IS NOT NULL AND state <> 'cancelled')
      SELECT floor(extract(epoch FROM event.at) * 1000 / ${stepMs}::float8)::float8 * ${stepMs}::float8 AS at, what,
             coalesce(round(ln(greatest(1, extract(epoch FROM took)::float8 * 1000)) * ${BINS_PER_E}::float8), 0)::int AS bin,
             count(*)::int AS count
      FROM event, since WHERE event.at >= since.at GROUP BY 1, 2, 3`;
  }

  /** When the job ended after which `most` others have ended, in ms since 1970; undefined when there are fewer. */
  async endOfJobBefore(most: number): Promise<number | undefined> {
    const [row] = await this.database.$queryRaw<{ at: number }[]>`
      SELECT (extract(epoch FROM finished_at) * 1000)::float8 AS at FROM jobs WHERE finished_at IS NOT NULL
      ORDER BY finished_at DESC OFFSET ${most} LIMIT 1`;
    return row?.at;
  }
}

/** The lowest UUIDv7 of a time, in ms since 1970. */
function lowestIdAt(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}
