import { afterAll, beforeAll, expect, it } from 'vitest';

import type { Attempt, JobKind } from '../../src/dispatch/attempt-store.js';
import { SweepRepository } from '../../src/jobs/sweep.repository.js';
import { Database } from '../../src/persistence/database.js';
import { uuidv7 } from '../../src/protocol/uuid.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { addLeasedNode, jobStores } from './job-life.js';

/* What becomes of an attempt when its job goes on to a node that is not this replica's any more. */

const OURS = uuidv7();
const NEXT = uuidv7();
const FENCE = 1;
const MISSED = { state: 'unreachable', reason: 'a test' } as const;

let test: TestDatabase;
let database: Database;
let stores: ReturnType<typeof jobStores>;
beforeAll(async () => {
  test = await createTestDatabase();
  database = new Database({ url: test.url, poolSize: 3 });
  stores = jobStores(database, test.url);
  for (const id of [OURS, NEXT]) await addLeasedNode(database, id, FENCE);
});
afterAll(async () => {
  await database.$disconnect();
  await test.drop();
});

async function sent(kind: JobKind): Promise<Attempt> {
  const id = uuidv7();
  const attempt: Attempt = { id, jobId: id, nodeId: OURS, number: 1, fence: FENCE };
  const job = { kind, caller: 'me', containers: ['echo'], requiresProof: false, body: Buffer.from('{}') };
  await stores.attempts.admit({ ...job, id }, attempt);
  return attempt;
}

const nextOf = ({ jobId }: Attempt, fence: number): Attempt => ({
  id: uuidv7(),
  jobId,
  nodeId: NEXT,
  number: 2,
  fence,
});

async function statesOf({ jobId }: Attempt): Promise<string[]> {
  const found = { where: { id: jobId }, include: { attempts: { orderBy: { number: 'asc' } } } } as const;
  const { state, attempts } = await database.job.findUniqueOrThrow(found);
  return [state, ...attempts.map((attempt) => attempt.state)];
}

it.each<JobKind>(['job', 'stream'])('a %s ends its attempt and begins the next one', async (kind) => {
  const attempt = await sent(kind);
  expect(await stores.attempts.moveOn(attempt, MISSED, nextOf(attempt, FENCE))).toBe(true);
  expect(await statesOf(attempt)).toEqual(['sending', 'unreachable', 'sending']);
});

it.each<JobKind>(['job', 'stream'])(
  'a %s keeps its attempt when the lease of the next node is lost',
  async (kind) => {
    const attempt = await sent(kind);
    expect(await stores.attempts.moveOn(attempt, MISSED, nextOf(attempt, FENCE - 1))).toBe(false);
    expect(await statesOf(attempt)).toEqual(['sending', 'sending']);
  },
);

it('streams without an open attempt are failed after a while, and no others', async () => {
  const [left, young, open] = [await sent('stream'), await sent('stream'), await sent('stream')];
  await database.$executeRaw`
    UPDATE attempts SET state = 'lost', finished_at = now() WHERE id IN (${left.id}::uuid, ${young.id}::uuid)`;
  await database.$executeRaw`
    UPDATE jobs SET created_at = now() - interval '11 seconds' WHERE id IN (${left.id}::uuid, ${open.id}::uuid)`;
  const sweep = new SweepRepository(database);
  expect(await sweep.failLeftStreams()).toEqual([left.id]);
  expect(await sweep.failLeftStreams()).toEqual([]);
  expect(await statesOf(left)).toEqual(['failed', 'lost']);
  expect(await statesOf(young)).toEqual(['sending', 'lost']);
  expect(await statesOf(open)).toEqual(['sending', 'sending']);
  const { result } = await database.jobResult.findFirstOrThrow({ where: { jobId: left.id } });
  expect(JSON.parse(Buffer.from(result).toString())).toEqual({
    container: 'echo',
    error: 'The stream was cut off, and no node has it any more',
  });
});
