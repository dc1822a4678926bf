import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Claim } from '../../src/dispatch/attempt-store.js';
import type { AttemptsRepository } from '../../src/jobs/attempts.repository.js';
import { Database } from '../../src/persistence/database.js';
import { uuidv7 } from '../../src/protocol/uuid.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { addLeasedNode, jobStores } from './job-life.js';

const NODES = [uuidv7(), uuidv7()] as const;
/** The lease that is held of each. */
const FENCE = 1;

let test: TestDatabase;
let database: Database;
let attempts: AttemptsRepository;

beforeAll(async () => {
  test = await createTestDatabase();
  database = new Database({ url: test.url });
  ({ attempts } = jobStores(database, test.url));
  for (const id of NODES) await addLeasedNode(database, id, FENCE);
});
afterAll(async () => {
  await database.$disconnect();
  await test.drop();
});

async function queued(): Promise<string> {
  const id = uuidv7();
  const job = { id, caller: 'me', containers: ['echo'], requiresProof: false, body: Buffer.from('{}') };
  await attempts.admit(job, undefined);
  return id;
}

/** What becomes of these wishes, which are made in the same turn of the event loop and go with one statement. */
async function outcomes(wishes: readonly Claim[]): Promise<string[]> {
  const claimed = await Promise.all(wishes.map((wish) => attempts.claim(wish)));
  return claimed.map((one) => (typeof one === 'string' ? one : `won for ${one.attempt.nodeId}`));
}

describe('several wishes for one job in one statement', () => {
  it('only one wins it, for the node that is stored', async () => {
    const jobId = await queued();
    const ends = await outcomes(NODES.map((nodeId) => ({ jobId, nodeId, fence: FENCE })));
    const [attempt, ...others] = await database.attempt.findMany({ where: { jobId } });
    expect(others).toEqual([]);
    expect(ends.toSorted()).toEqual(['gone', `won for ${attempt?.nodeId}`]);
  });

  it('the one whose lease is held wins', async () => {
    const jobId = await queued();
    const [first, second] = NODES;
    const wishes = [
      { jobId, nodeId: first, fence: FENCE },
      { jobId, nodeId: second, fence: FENCE + 1 },
    ];
    expect(await outcomes(wishes)).toEqual([`won for ${first}`, 'unleased']);
  });

  it('each of several jobs goes to the node that was wished for it', async () => {
    const wishes: Claim[] = [];
    for (const nodeId of [...NODES, ...NODES]) wishes.push({ jobId: await queued(), nodeId, fence: FENCE });
    expect(await outcomes(wishes)).toEqual(wishes.map(({ nodeId }) => `won for ${nodeId}`));
  });
});
