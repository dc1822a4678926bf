import { Injectable } from '@nestjs/common';
import { Database } from '../persistence/database.js';
import type { StatusRequest } from '../protocol/status-request.js';
import type { StoredJob } from './result-list.js';

const STATE = { running: 'running', success: 'succeeded', failed: 'failed' } as const;

/**
 * Statuses that callers recorded themselves (`PUT /api/status`), under ids of their own choice: apart from the gateway's
 * jobs, by caller and id.
 */
@Injectable()
export class RecordedStatusesRepository {
  constructor(private readonly database: Database) {}

  /** Records a status in place of an earlier one. @returns false, and nothing is changed, for a job of the gateway */
  async record(caller: string, { id, status }: StatusRequest): Promise<boolean> {
    const recorded = await this.database.$executeRaw`
      INSERT INTO recorded_statuses (caller, id, state, recorded_at)
      SELECT ${caller}, ${id}, ${STATE[status]}::job_state, now()
      WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = ${uuidOrNone(id)}::uuid)
      ON CONFLICT (caller, id) DO UPDATE SET state = excluded.state, recorded_at = excluded.recorded_at`;
    return recorded === 1;
  }

  /** Those of these that the caller recorded, as jobs without a result. */
  async find(caller: string, ids: readonly string[]): Promise<StoredJob[]> {
    const rows = await this.database.recordedStatus.findMany({
      where: { caller, id: { in: [...ids] } },
      select: { id: true, state: true },
    });
    return rows.map((row) => ({ ...row, result: null, intermediate: null }));
  }

  /** Deletes what was recorded before a time, the oldest first. @returns how many */
  async deleteBefore(before: Date, limit: number): Promise<number> {
    return this.database.$executeRaw`
      DELETE FROM recorded_statuses WHERE (caller, id) IN (
        SELECT caller, id FROM recorded_statuses WHERE recorded_at < ${before} ORDER BY recorded_at LIMIT ${limit})`;
  }
}

/** Other ids are none of the gateway's. */
function uuidOrNone(id: string): string | null {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id) ? id : null;
}
