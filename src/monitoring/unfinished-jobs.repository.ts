import { Injectable } from '@nestjs/common';
import { Database } from '../persistence/database.js';

/** The unfinished jobs in one state. */
export interface UnfinishedCount {
  readonly state: 'queued' | 'sending' | 'running' | 'retrying';
  readonly count: number;
  /** Of the oldest one, in seconds. */
  readonly oldestSeconds: number;
}

/** Counts what has not ended. Finished jobs are not looked at, so the cost does not grow with history. */
@Injectable()
export class UnfinishedJobsRepository {
  constructor(private readonly database: Database) {}

  /** States without a job are left out. */
  async count(): Promise<UnfinishedCount[]> {
    return this.database.$queryRaw<UnfinishedCount[]>`
      SELECT state::text AS state, count(*)::int AS count,
             extract(epoch FROM now() - min(created_at))::float8 AS "oldestSeconds"
      FROM jobs WHERE finished_at IS NULL GROUP BY state`;
  }
}
