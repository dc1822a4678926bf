import pg from 'pg';

/** Who is asked for lists; has so many jobs whatever the table holds. */
export const LISTER = '192.0.2.1';
const LISTED = 1_000;
const UNFINISHED = 1_000;
/** Rows of one insert. */
const GROUP = 50_000;

/**
 * A table of jobs as it comes to be over time: ended ones of the caller `loopback`, each with its attempt and a result of
 * about 250 bytes, a few that wait, and those of `LISTER`.
 */
export class History {
  private ended = 0;

  private constructor(private readonly client: pg.Client) {}

  static async begin(url: string): Promise<History> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const history = new History(client);
    await history.insert(LISTED, LISTER, 'succeeded');
    await history.insert(UNFINISHED, 'loopback', 'queued');
    return history;
  }

  /** Adds jobs that have ended until there are so many, and has PostgreSQL look at what there is. */
  async growTo(jobs: number): Promise<void> {
    while (this.ended < jobs) {
      const count = Math.min(GROUP, jobs - this.ended);
      await this.insert(count, 'loopback', 'succeeded');
      this.ended += count;
    }
    await this.client.query('VACUUM ANALYZE jobs, job_results, attempts');
  }

  /** Ids of `loopback`, drawn from all over the table; the same ones for the same table. */
  async sample(state: 'succeeded' | 'queued', count: number): Promise<string[]> {
    const { rows } = await this.client.query<{ id: string }>(
      `SELECT id FROM jobs WHERE caller = 'loopback' AND state = $1::job_state ORDER BY md5(id::text) LIMIT $2`,
      [state, count],
    );
    return rows.map(({ id }) => id);
  }

  async close(): Promise<void> {
    await this.client.end();
  }

  /** Spread over the last days, in order of their ids. */
  private async insert(count: number, caller: string, state: 'succeeded' | 'queued'): Promise<void> {
    await this.client.query(
      `WITH input AS (
         SELECT uuidv7((make_interval(days => -3) + make_interval(secs => ($4 + n) * 0.2))) AS id,
                now() - interval '3 days' + make_interval(secs => ($4 + n) * 0.2) AS at
         FROM generate_series(1, $1::int) AS n),
       job AS (
         INSERT INTO jobs (id, kind, caller, state, containers, requires_proof, created_at, deadline_at, finished_at)
         SELECT id, 'job', $2, $3::job_state, ARRAY['echo'], false, at, now() + interval '30 days',
                CASE WHEN $3 = 'queued' THEN NULL ELSE at + interval '1 second' END FROM input),
       attempt AS (
         INSERT INTO attempts (id, job_id, node_id, number, state, egress_group, created_at, finished_at)
         SELECT id, id, gen_random_uuid(), 1, 'succeeded', 'default', at, at FROM input WHERE $3 <> 'queued')
       INSERT INTO job_results (job_id, generation, result)
       SELECT id, 1, convert_to('{"container":"echo","output":{"text":"' || repeat(md5(id::text), 6) || '"}}', 'UTF8')
       FROM input WHERE $3 <> 'queued'`,
      [count, caller, state, this.ended],
    );
  }
}
