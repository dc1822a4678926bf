import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';

import { readSettings } from '../../src/config/settings.js';
import type { Attempt } from '../../src/dispatch/attempt-store.js';
import { AcceptancesRepository } from '../../src/jobs/acceptances.repository.js';
import { AttemptsRepository } from '../../src/jobs/attempts.repository.js';
import { JobEvents } from '../../src/jobs/job-events.js';
import { ResultsStore } from '../../src/jobs/results-store.js';
import { NoMetrics } from '../../src/metrics/metrics.js';
import { Broadcast } from '../../src/persistence/broadcast.js';
import { Database } from '../../src/persistence/database.js';
import { uuidv7 } from '../../src/protocol/uuid.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { addLeasedNode } from './job-life.js';

const NODE = uuidv7();
let test: TestDatabase;
let database: Database;
let groups: unknown[];
let attempts: AttemptsRepository;
let results: ResultsStore;
beforeAll(async () => {
  test = await createTestDatabase();
  database = new Database({ url: test.url, poolSize: 3 });
  await addLeasedNode(database, NODE, 1);
});
beforeEach(() => {
  groups = [];
  const metrics = new NoMetrics();
  vi.spyOn(metrics, 'groupCommitted').mockImplementation((...[name]: unknown[]) => void groups.push(name));
  const settings = readSettings({});
  const acceptances = new AcceptancesRepository(database, metrics);
  const broadcast = new Broadcast(database, test.url, uuidv7());
  results = new ResultsStore(database, new JobEvents(), broadcast, settings, acceptances, metrics);
  attempts = new AttemptsRepository(database, results, acceptances, settings, metrics);
});
afterAll(async () => {
  await database.$disconnect();
  await test.drop();
});

async function sent(): Promise<Attempt> {
  const id = uuidv7();
  const attempt: Attempt = { id, jobId: id, nodeId: NODE, number: 1, fence: 1 };
  const body = Buffer.from('{}');
  await attempts.admit({ id, caller: 'me', containers: ['echo'], requiresProof: false, body }, attempt);
  return attempt;
}

const stored = ({ id }: Attempt) =>
  database.attempt.findUniqueOrThrow({ where: { id }, include: { job: { select: { state: true } } } });

it('an acceptance is committed after a moment', async () => {
  const attempt = await sent();
  await attempts.noteAccepted(attempt);
  const { state, acceptedAt, createdAt, job } = await stored(attempt);
  expect([state, job.state]).toEqual(['running', 'running']);
  // When the node said so, not when it was written down.
  expect((acceptedAt?.getTime() ?? Infinity) - createdAt.getTime()).toBeLessThan(
    Date.now() - createdAt.getTime() - 250,
  );
});

it('of a job that ends before, the acceptance goes with its end', async () => {
  const attempt = await sent();
  const noted = attempts.noteAccepted(attempt);
  const end = { state: 'succeeded', reason: null, result: Buffer.from('{}'), intermediate: null } as const;
  await results.finish({ ...end, attempt });
  await noted;
  const { state, acceptedAt, job } = await stored(attempt);
  expect([state, job.state]).toEqual(['succeeded', 'succeeded']);
  expect(acceptedAt).not.toBeNull();
  expect(groups).toEqual(['admissions', 'results']);
});

it('of an attempt that fails before, the acceptance is committed first', async () => {
  const lost = { state: 'lost', reason: 'a test' } as const;
  const again = { baseMs: 1_000, maxMs: 1_000, share: 1 };
  for (const fail of [
    (attempt: Attempt) => attempts.retry(attempt, lost, 6, again),
    (attempt: Attempt) => attempts.requeue(attempt, lost),
  ]) {
    const attempt = await sent();
    const noted = attempts.noteAccepted(attempt);
    await fail(attempt);
    await noted;
    const { state, acceptedAt, job } = await stored(attempt);
    expect(state).toBe('lost');
    expect(['retrying', 'queued']).toContain(job.state);
    expect(acceptedAt).not.toBeNull();
  }
});

it('does not move a new generation of the job on', async () => {
  const attempt = await sent();
  const noted = attempts.noteAccepted(attempt);
  await database.$executeRaw`UPDATE jobs SET generation = 2 WHERE id = ${attempt.jobId}::uuid`;
  await noted;
  expect((await stored(attempt)).job.state).toBe('sending');
});
