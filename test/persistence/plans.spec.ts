import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { uuidv7 } from '../../src/protocol/uuid.js';
import { afterAll, beforeAll, expect, it } from 'vitest';

import type { Attempt } from '../../src/dispatch/attempt-store.js';
import { JobsRepository } from '../../src/jobs/jobs.repository.js';
import { OperationsRepository } from '../../src/jobs/operations.repository.js';
import { RecordedStatusesRepository } from '../../src/jobs/recorded-statuses.repository.js';
import { SweepRepository } from '../../src/jobs/sweep.repository.js';
import { UnfinishedJobsRepository } from '../../src/monitoring/unfinished-jobs.repository.js';
import { Database } from '../../src/persistence/database.js';
import { applyMigrations } from '../../src/persistence/migrations.js';
import { freePort, PostgresServer } from '../../src/persistence/postgres-server.js';
import { StatsRepository } from '../../src/stats/stats.repository.js';
import { jobStores } from './job-life.js';
import { insertJobs, NODES, RARE_NODE } from './many-jobs.js';
import { composedQueriesOf, isMadeOf, rawStatementsOn } from './source-statements.js';
import { PLANS_IN_LOG, plansIn, type StatementPlan } from './statement-plans.js';

/*
 * Every statement on the tables that grow with history is run, through the gateway's own code, on a database with a
 * million jobs, and must find its rows through an index. Each runs often enough that PostgreSQL goes over to the plan
 * that it keeps for a named statement. A raw statement that the source has and that was not run fails the test, so a new
 * one cannot stay out.
 */

const JOBS = 1_000_000;
/** PostgreSQL plans a named statement anew five times before it may keep a general plan. */
const RUNS = 7;
const GROUP = 5;
/** The smallest index on all jobs has about 3,900. A statement may look at all that is unfinished, 300 jobs: 1,000 or so. */
const MOST_BLOCKS = 2_500;
const LARGE_TABLES = ['jobs', 'attempts', 'job_results', 'job_requests', 'recorded_statuses'];
const LARGE_MODELS = ['job', 'attempt', 'jobResult', 'jobRequest', 'recordedStatus'];
/** Queries that Prisma composes, which cannot be told by their text: each is run below. */
const COMPOSED = [
  'jobs/jobs.repository.ts job.findUnique',
  'jobs/operations.repository.ts job.findMany',
  'jobs/operations.repository.ts job.findUnique',
  'jobs/operations.repository.ts job.findUnique',
  'jobs/recorded-statuses.repository.ts recordedStatus.findMany',
];
const STATES = ['queued', 'sending', 'running', 'retrying', 'succeeded', 'failed', 'cancelled'] as const;
const BACKFILL_JOBS = 300_000;

let directory: string;
let server: PostgresServer;
let url: string;
/** How much of the log is of the preparation. */
let prepared: number;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'infernet-gateway-plans-'));
  // Nothing in it has to survive; a quarter of the memory is what servers are usually given.
  const settings = { fsync: 'off', full_page_writes: 'off', max_wal_size: '4GB', shared_buffers: '512MB' };
  server = await PostgresServer.open(directory, { ...settings, ...PLANS_IN_LOG });
  const port = await freePort();
  await server.start(port);
  url = await server.url(port, 'postgres');
  await applyMigrations(url);
  await silently((client) => insertJobs(client, JOBS));
  prepared = (await log()).length;
}, 240_000);

afterAll(async () => {
  await server?.stop('immediate');
  await rm(directory, { recursive: true, force: true });
});

it('finds rows through an index, whatever it does, with a million jobs', async () => {
  await runEverything();
  const plans = plansIn((await log()).slice(prepared));
  const ran = new Set(plans.map(({ text }) => text));
  const unseen = rawStatementsOn(LARGE_TABLES).filter(
    (statement) => ![...ran].some((text) => isMadeOf(text, statement)),
  );
  expect(unseen, 'statements that this test has to run').toEqual([]);
  expect(composedQueriesOf(LARGE_MODELS).sort(), 'queries that this test has to run').toEqual(COMPOSED);
  expect(plans.filter(isCostly).map(summaryOf), 'statements that look at too much').toEqual([]);
});

it('would notice a statement that reads a whole table, or a whole index', async () => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`SELECT count(*) FROM jobs WHERE deadline_at < now()`);
  await client.query(`SET enable_seqscan = off`);
  await client.query(`SELECT count(*) FROM jobs WHERE id::text LIKE '%7'`);
  await client.end();
  const plans = plansIn((await log()).slice(prepared));
  expect(plans.slice(-3).filter(isCostly)).toHaveLength(2);
});

function isCostly({ scannedTables, blocks }: StatementPlan): boolean {
  return scannedTables.some((table) => LARGE_TABLES.includes(table)) || blocks > MOST_BLOCKS;
}

function log(): Promise<string> {
  return readFile(join(directory, 'postgres.log'), 'utf8');
}

function summaryOf({ text, scannedTables, blocks }: StatementPlan): string {
  return `${blocks} blocks${scannedTables.map((table) => `, all of ${table}`).join('')}: ${text.replaceAll(/\s+/g, ' ')}`;
}

/** In a session that leaves no plans. */
async function silently<T>(act: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('SET auto_explain.log_min_duration = -1');
    return await act(client);
  } finally {
    await client.end();
  }
}

/** Every statement on the large tables, `RUNS` times, each on other jobs. */
async function runEverything(): Promise<void> {
  const database = new Database({ url, poolSize: 2 });
  const { settings, results, attempts } = jobStores(database, url);
  const jobs = new JobsRepository(database);
  const operations = new OperationsRepository(database, settings);
  const sweep = new SweepRepository(database);
  const statuses = new RecordedStatusesRepository(database);
  const stats = new StatsRepository(database);
  const unfinished = new UnfinishedJobsRepository(database);
  const [node = ''] = NODES;
  const lease = { nodeId: node, fence: 1 };
  const fresh = (jobId: string): Attempt => ({ ...lease, id: uuidv7(), jobId, number: 2 });
  const why = { state: 'lost', reason: 'a test' } as const;
  const sample = (where: string): Promise<string[]> =>
    silently(async (client) =>
      (await client.query<{ id: string }>(`SELECT id FROM jobs WHERE ${where}`)).rows.map(({ id }) => id),
    );
  const running = await sample(
    `state = 'running' AND id IN (SELECT job_id FROM attempts WHERE finished_at IS NULL AND node_id = '${node}')`,
  );
  const [queued, retrying, finished, failed] = await Promise.all(
    [
      `state = 'queued'`,
      `state = 'retrying'`,
      `state = 'succeeded' LIMIT 5000`,
      `state = 'failed' LIMIT 5000`,
    ].map(sample),
  );
  const attemptOf = (jobId: string): Attempt => ({ ...lease, id: jobId, jobId, number: 1 });
  const next = (ids: string[] = []): string => ids.pop() as string;
  const group = <T>(make: () => Promise<T>): Promise<T[]> =>
    Promise.all(Array.from({ length: GROUP }, () => make()));

  for (let run = 0; run < RUNS; run += 1) {
    // The life of a job.
    const body = Buffer.from('{"containers":["echo"],"data":{}}');
    const fresher = await group(async () => {
      const job = { id: uuidv7(), caller: 'c1', containers: ['echo'], requiresProof: false, body };
      await attempts.admit(job, attemptOf(job.id));
      return job.id;
    });
    await Promise.all(fresher.map((id) => attempts.accepted(attemptOf(id), undefined)));
    const end = { state: 'succeeded', reason: null, result: body, intermediate: null } as const;
    await Promise.all(fresher.map((id) => results.finish({ ...end, attempt: attemptOf(id) })));
    const held = await group(async () => {
      const jobId = next(queued);
      await attempts.claim({ ...lease, jobId });
      return jobId;
    });
    await attempts.moveOn(attemptOf(held[0] as string), why, fresh(held[0] as string));
    await attempts.requeue(attemptOf(held[1] as string), why);
    await attempts.fail(attemptOf(held[2] as string), ['echo'], why, 'a test');
    await attempts.withdraw(held[3] as string);
    await attempts.retry(attemptOf(next(running)), why, 6, { baseMs: 1_000, maxMs: 1_000, share: 1 });
    await attempts.rescue(next(running), node);
    await results.finishSuperseded(next(running), 'a test');

    // What callers ask.
    await jobs.find('c1', finished?.slice(run * 200, run * 200 + 200) ?? []);
    for (const pending of [true, false, undefined]) await jobs.idsOf('c1000', pending);
    await statuses.record('c1', { id: uuidv7(), status: 'success' });
    await statuses.find('c1000', ['s1', 's2']);

    // What replicas and periodic duties ask.
    await jobs.queued();
    await jobs.queued(queued?.slice(0, GROUP));
    await jobs.stateOf(next(finished));
    await jobs.openOn([node]);
    await jobs.requeueRetrying([next(retrying)]);
    await jobs.takeBackFrom(RARE_NODE, 'a test');
    await sweep.requeueOverdueRetries();
    await sweep.requeueOrphans();
    await sweep.failOrphanedStreams();
    await sweep.failLeftStreams();
    await sweep.oldestQueued();
    await sweep.failExpired();
    const before = new Date(Date.now() - 7 * 86_400_000 + (run + 1) * 60_000);
    expect(await jobs.deleteFinishedBefore(before, 100)).toBeGreaterThan(0);
    await statuses.deleteBefore(new Date(Date.now() - 90_000_000), 100);

    // Figures.
    await unfinished.count();
    await stats.open();
    await stats.countsSince(Date.now() - 60_000, 1_000);
    await stats.endOfJobBefore(BACKFILL_JOBS);

    // What operators ask and do.
    const page = await operations.list({}, undefined, 100);
    for (const status of STATES) await operations.list({ status, node }, page.at(-1)?.id, 100);
    await operations.list({ status: 'queued', caller: 'c1' }, undefined, 100);
    await operations.list({ caller: 'nobody' }, undefined, 100);
    await operations.list({ node }, undefined, 100);
    await operations.list({ container: 'echo' }, undefined, 100);
    await operations.find(next(finished));
    await operations.cancel(next(running), () => body);
    await operations.retry([next(failed)]);
  }
  await database.$disconnect();
}
