import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { Database } from '../../src/persistence/database.js';
import { applyMigrations } from '../../src/persistence/migrations.js';
import { freePort, PostgresServer } from '../../src/persistence/postgres-server.js';
import { uuidv7 } from '../../src/protocol/uuid.js';
import { JobLife } from './job-life.js';
import { insertNodes } from './many-jobs.js';
import { PLANS_IN_LOG, plansIn } from './statement-plans.js';

/*
 * A plan that PostgreSQL keeps is made from what it knows of the tables at the time. Whatever that was, what happens to
 * every job must cost the same when there are more: nothing looks at more than its own jobs. Nobody vacuums or analyses
 * here, so that a bad plan stays.
 */

/** More than PostgreSQL makes anew before it keeps a plan. */
const ROUNDS_UNTIL_KEPT = 8;
const GROUP = 20;
/** For one job in one statement: blocks of tables and indices, and rows that any step gave or threw away. */
const MOST = { blocks: 30, rows: 40 };

let directory: string;
let server: PostgresServer;
let database: Database;
let client: pg.Client;
let life: JobLife;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'infernet-gateway-kept-plans-'));
  server = await PostgresServer.open(directory, { ...PLANS_IN_LOG, autovacuum: 'off', fsync: 'off' });
  const port = await freePort();
  await server.start(port);
  const url = await server.url(port, 'postgres');
  await applyMigrations(url);
  client = new pg.Client({ connectionString: url });
  await client.connect();
  await insertNodes(client);
  database = new Database({ url, poolSize: 1 });
  life = new JobLife(database, url);
});

afterAll(async () => {
  await database?.$disconnect();
  await client?.end();
  await server?.stop('immediate');
  await rm(directory, { recursive: true, force: true });
});

it.each([
  ['tables were empty', undefined],
  ['no job was unfinished', 'ANALYZE'],
])('costs what it costs with few jobs, by plans that were made when %s', async (_when, before) => {
  if (before !== undefined) await client.query(before);
  for (let round = 0; round < ROUNDS_UNTIL_KEPT; round += 1) await pass(1);
  const unfinished = await admitted(1_000, true);
  const waiting = await admitted(1_000, false);
  for (let round = 0; round < 50; round += 1) await pass(GROUP);
  const start = (await log()).length;
  await pass(GROUP);
  const plans = plansIn((await log()).slice(start));
  expect(plans.length).toBeGreaterThanOrEqual(5);
  const costly = plans.filter(
    ({ blocks, rows, scannedTables }) =>
      blocks > MOST.blocks * GROUP || rows > MOST.rows * GROUP || scannedTables.length > 0,
  );
  expect(costly).toEqual([]);
  await life.end(unfinished);
  await life.claim(waiting);
  await life.end(waiting);
});

/** So many jobs go the usual ways from their arrival to their end. */
async function pass(jobs: number): Promise<void> {
  const sent = await admitted(jobs, true);
  await life.accept(sent);
  await life.end(sent);
  const held = await admitted(jobs, false);
  await life.claim(held);
  await life.end(held);
}

async function admitted(jobs: number, sent: boolean): Promise<string[]> {
  const ids = Array.from({ length: jobs }, () => uuidv7());
  await life.admit(ids, sent);
  return ids;
}

function log(): Promise<string> {
  return readFile(join(directory, 'postgres.log'), 'utf8');
}
