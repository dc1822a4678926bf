import type pg from 'pg';

/** The nodes of the attempts; the first has hardly any. */
export const RARE_NODE = '00000000-0000-4000-8000-000000000000';
export const NODES = Array.from({ length: 4 }, (_none, n) => `00000000-0000-4000-8000-00000000000${n + 1}`);
/** What has not ended, the last jobs to arrive. */
const UNFINISHED = { queued: 80, running: 200, retrying: 20 };

/** The nodes, leased for a day with fence 1. */
export async function insertNodes(client: pg.Client): Promise<void> {
  await client.query(`
    INSERT INTO nodes (id, url, name, source, updated_at, lease_holder, lease_until, lease_fence)
    SELECT id::uuid, 'http://' || id, id, 'admin', now(), gen_random_uuid(), now() + interval '1 day', 1
    FROM unnest(ARRAY['${[RARE_NODE, ...NODES].join("','")}']) AS id`);
}

/**
 * A history of jobs over a week, as a busy installation has it: most have succeeded, one in a hundred failed, the last
 * 300 are unfinished. Callers `c0` to `c999` share them; `c1000` has 500 jobs and as many recorded statuses.
 * @param jobs how many
 */
export async function insertJobs(client: pg.Client, jobs: number): Promise<void> {
  // The rows are consistent; checking each would take most of the time.
  await client.query(`SET session_replication_role = replica`);
  const { queued, running, retrying } = UNFINISHED;
  const open = queued + running + retrying;
  await insertNodes(client);
  await client.query(`
    CREATE TEMP TABLE history AS
    SELECT i, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(i % 4096), 3, '0') ||
           '8' || lpad(to_hex(i), 15, '0'))::uuid AS id, at,
           CASE WHEN i > ${jobs - retrying} THEN 'retrying' WHEN i > ${jobs - retrying - running} THEN 'running'
                WHEN i > ${jobs - open} THEN 'queued' WHEN i % 100 = 0 THEN 'failed' ELSE 'succeeded' END AS state
    FROM (SELECT i, now() - make_interval(secs => (${jobs} - i) * (7 * 86400.0 / ${jobs})) AS at
          FROM generate_series(1, ${jobs}) AS i) AS arrival`);
  await client.query(`
    INSERT INTO jobs (id, caller, state, containers, requires_proof, created_at, finished_at, deadline_at, retry_at)
    SELECT id, CASE WHEN i % ${Math.floor(jobs / 500)} = 0 THEN 'c1000' ELSE 'c' || i % 1000 END, state::job_state,
           ARRAY[CASE WHEN i % 50000 = 0 THEN 'seldom' ELSE 'echo' END], false, at,
           CASE WHEN i <= ${jobs - open} THEN at + interval '1 second' END, at + interval '1 day',
           CASE WHEN state = 'retrying' THEN at + interval '1 minute' END FROM history`);
  await client.query(`
    INSERT INTO attempts (id, job_id, node_id, number, state, created_at, accepted_at, finished_at)
    SELECT id, id, CASE WHEN i % 100000 = 0 THEN '${RARE_NODE}' ELSE (ARRAY['${NODES.join("','")}'])[1 + i % 4] END::uuid, 1,
           (CASE state WHEN 'retrying' THEN 'failed' ELSE state END)::attempt_state, at, at,
           CASE WHEN state <> 'running' THEN at + interval '1 second' END
    FROM history WHERE state <> 'queued'`);
  await client.query(`
    INSERT INTO job_results (job_id, result)
    SELECT id, '{"container":"echo","output":{}}' FROM history WHERE i <= ${jobs - open}`);
  await client.query(`
    INSERT INTO job_requests (job_id, body)
    SELECT id, '{"containers":["echo"],"data":{}}' FROM history WHERE state <> 'succeeded'`);
  await client.query(`
    INSERT INTO recorded_statuses (caller, id, state, recorded_at)
    SELECT CASE WHEN i <= 500 THEN 'c1000' ELSE 'c' || i % 1000 END, 's' || i, 'succeeded', now() - make_interval(secs => i)
    FROM generate_series(1, ${Math.floor(jobs / 10)}) AS i`);
  await client.query('DROP TABLE history');
  await client.query('SET session_replication_role = origin');
  // Separate statements: VACUUM does not run in the transaction that several would make.
  await client.query('VACUUM ANALYZE');
}
