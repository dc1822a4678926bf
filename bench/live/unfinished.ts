import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';

/** A job that ends later than this after the end of a run does not count, in ms. */
const PATIENCE_MS = 10_000;
const PAUSE_MS = 50;

/** Waits until all jobs have ended. @returns how many have not when the patience is over */
export async function unfinishedAtLast(database: pg.Client): Promise<number> {
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    const { rows } = await database.query<{ count: number }>(
      'SELECT count(*)::int AS count FROM jobs WHERE finished_at IS NULL',
    );
    const unfinished = rows[0]?.count ?? 0;
    if (unfinished === 0 || Date.now() > until) return unfinished;
    await sleep(PAUSE_MS);
  }
}
