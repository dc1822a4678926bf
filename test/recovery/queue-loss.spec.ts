import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';

import type { EmulatedNodeOptions } from '../../src/emulator/options.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { startTestGateway, type TestFleet, type TestGateway } from '../support/gateway.js';
import { at, drainAll, expectStory, QUICK, whenJob } from '../support/recovery.js';
import { TestRedis } from '../support/redis.js';
import { hasTool } from '../support/requirements.js';
import { waitUntil } from '../support/wait.js';

/** Time until the duties are scheduled anew (15 s), run (5 s), and a lost message counts as lost (3 s), in ms. */
const REVIVAL_MS = 30_000;

const EMPTY_TABLES = `
  DO $$ DECLARE tables text; BEGIN
    SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') INTO tables
      FROM pg_tables WHERE schemaname = 'bullmq' AND tablename NOT LIKE '%migration%';
    EXECUTE 'TRUNCATE ' || tables;
  END $$`;
const TABLES = `SELECT 1 FROM pg_tables WHERE schemaname = 'bullmq' AND tablename NOT LIKE '%migration%'`;

const DEADLOCK = '40P01';

const hasRedis = hasTool('redis-server', 'the loss of a queue on Redis');

let fleet: TestFleet;
let gateway: TestGateway;
let database: TestDatabase;
let redis: TestRedis | undefined;

afterEach(async () => {
  await fleet.stop();
  await redis?.stop();
  redis = undefined;
  await database.drop();
});

async function start(
  store: string,
  nodes: EmulatedNodeOptions[],
  settings: Record<string, string> = {},
): Promise<void> {
  database = await createTestDatabase();
  if (store === 'Redis') redis = await TestRedis.start();
  const queue: Record<string, string> = redis === undefined ? {} : { REDIS_URL: redis.url };
  fleet = await startTestGateway({
    nodes,
    settings: { ...QUICK, DATABASE_URL: database.url, ...queue, ...settings },
  });
  ({ gateway } = fleet);
}

/** Everything that the queue held is gone. */
async function emptyQueue(statement = EMPTY_TABLES): Promise<void> {
  if (redis !== undefined) return redis.flush();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    // They are made behind the start of a gateway.
    await waitUntil('the queue has its tables', async () => (await client.query(TABLES)).rowCount);
    await waitUntil('the queue has let go of its tables', () => succeeds(client, statement));
  } finally {
    await client.end();
  }
}

/** False when the queue's own transactions were in the way. */
async function succeeds(client: pg.Client, statement: string): Promise<boolean> {
  try {
    await client.query(statement);
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === DEADLOCK) return false;
    throw error;
  }
}

async function comesBackAfter(loss: () => Promise<void>): Promise<void> {
  const node = at(fleet.nodes, 0);
  await node.faults.set({ infrastructure: { text: 'server-disconnected', times: 3 } });
  const ids = await Promise.all([0, 1, 2].map((n) => gateway.submit(['echo'], { n })));
  for (const id of ids) await whenJob(gateway, id, 'retrying', ({ state }) => state === 'retrying');
  await loss();
  const rows = await gateway.finished(ids, {}, REVIVAL_MS);
  expect(rows.map(({ result }) => result?.output)).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }]);
  for (const id of ids) await expectStory(fleet, id, ['0 failed', '0 succeeded'], 2);
}

describe.each(hasRedis ? ['Postgres', 'Redis'] : ['Postgres'])('the queue on %s', (store) => {
  it('loses all it holds: jobs that wait for their retry come back, and the duties go on', async () => {
    expect.hasAssertions();
    // The message would come long after the sweep has to find the job.
    await start(store, [{}], { RETRY_BASE_MS: '4000' });
    await comesBackAfter(() => emptyQueue());
    // And again, which only works if what was lost besides them, the schedulers, came back too.
    await comesBackAfter(() => emptyQueue());
  });

  it('loses all it holds: jobs that wait still meet their deadline', async () => {
    await start(store, [{}], { JOB_DEADLINE: '2s' });
    await drainAll(fleet);
    await emptyQueue();
    const id = await gateway.submit(['echo'], {});
    const [row] = await gateway.finished([id], {}, REVIVAL_MS);
    expect(row?.result?.error).toMatch(/deadline/);
  });

  it('brings a retried job back to its old place in the order of arrival', async () => {
    await start(store, [{}]);
    await gateway.admin('PATCH', `/nodes/${at(fleet.registered, 0).id}`, { maxInFlight: 1 });
    await at(fleet.nodes, 0).faults.set({
      infrastructure: { container: 'echo', text: 'server-disconnected', times: 1 },
    });
    const retried = await gateway.submit(['echo'], {});
    const others: string[] = [];
    for (let n = 0; n < 3; n += 1) others.push(await gateway.submit(['delay'], { ms: 1_000 }));
    await gateway.finished([retried, ...others]);
    const order = at(fleet.nodes, 0).executions.map(
      ({ container, jobId }) => `${container} ${others.indexOf(jobId)}`,
    );
    expect(order).toEqual(['echo -1', 'delay 0', 'echo -1', 'delay 1', 'delay 2']);
  });
});

describe('the queue on Postgres', () => {
  it('loses its whole schema: jobs that wait for their retry come back', async () => {
    expect.hasAssertions();
    await start('Postgres', [{}], { RETRY_BASE_MS: '4000' });
    await comesBackAfter(() => emptyQueue('DROP SCHEMA bullmq CASCADE'));
  });
});
