import { performance } from 'node:perf_hooks';
import pg from 'pg';
import { uuidv7 } from '../../src/protocol/uuid.js';

/** The rows that the gateway commits before it answers, as one multi-row insert; ended already, so that nobody runs them. */
const INSERT = `
  WITH input AS (SELECT * FROM unnest($1::uuid[], $2::bytea[]) AS t(id, body)),
  job AS (
    INSERT INTO jobs (id, kind, caller, state, containers, requires_proof, deadline_at, finished_at)
    SELECT id, 'job', 'postgres-alone', 'cancelled', ARRAY['echo'], false, now(), now() FROM input),
  request AS (INSERT INTO job_requests (job_id, body) SELECT id, body FROM input)
  INSERT INTO attempts (id, job_id, node_id, number, state, egress_group, finished_at)
  SELECT id, id, gen_random_uuid(), 1, 'superseded', 'default', now() FROM input`;

/** How many jobs a second PostgreSQL takes when nothing else is asked of it; each commit flushed, as ever. */
export class PostgresAlone {
  private constructor(private readonly clients: readonly pg.Client[]) {}

  static async connect(url: string, connections: number): Promise<PostgresAlone> {
    const clients = Array.from({ length: connections }, () => new pg.Client({ connectionString: url }));
    for (const client of clients) await client.connect();
    return new PostgresAlone(clients);
  }

  /** @returns jobs a second, inserted in groups of that size on all connections at once for that long */
  async measure(body: string, groupSize: number, ms: number): Promise<number> {
    const bodies = Array.from({ length: groupSize }, () => Buffer.from(body));
    const startedAt = performance.now();
    let groups = 0;
    const insertUntilEnd = async (client: pg.Client): Promise<void> => {
      while (performance.now() < startedAt + ms) {
        const ids = bodies.map(() => uuidv7());
        await client.query({ name: 'insert', text: INSERT, values: [ids, bodies] });
        groups += 1;
      }
    };
    await Promise.all(this.clients.map(insertUntilEnd));
    return (groups * groupSize * 1_000) / (performance.now() - startedAt);
  }

  async close(): Promise<void> {
    for (const client of this.clients) await client.end();
  }
}
