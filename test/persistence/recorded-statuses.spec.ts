import { afterAll, beforeAll, expect, it } from 'vitest';

import { RecordedStatusesRepository } from '../../src/jobs/recorded-statuses.repository.js';
import { Database } from '../../src/persistence/database.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let test: TestDatabase;
let database: Database;
let statuses: RecordedStatusesRepository;
beforeAll(async () => {
  test = await createTestDatabase();
  database = new Database({ url: test.url, poolSize: 2 });
  statuses = new RecordedStatusesRepository(database);
});
afterAll(async () => {
  await database.$disconnect();
  await test.drop();
});

it('what was recorded before a time is deleted in steps, the oldest first', async () => {
  for (const id of ['a', 'b', 'c']) await statuses.record('me', { id, status: 'running' });
  await database.$executeRaw`
    UPDATE recorded_statuses SET recorded_at = now() - CASE id WHEN 'a' THEN interval '3 days' ELSE interval '2 days' END
    WHERE id <> 'c'`;
  const before = new Date(Date.now() - 86_400_000);
  expect(await statuses.deleteBefore(before, 1)).toBe(1);
  expect((await statuses.find('me', ['a', 'b', 'c'])).map(({ id }) => id).sort()).toEqual(['b', 'c']);
  expect(await statuses.deleteBefore(before, 10)).toBe(1);
  expect(await statuses.deleteBefore(before, 10)).toBe(0);
  // Recorded anew counts from then on.
  await database.$executeRaw`UPDATE recorded_statuses SET recorded_at = now() - interval '2 days'`;
  await statuses.record('me', { id: 'c', status: 'success' });
  expect(await statuses.deleteBefore(before, 10)).toBe(0);
  expect(await statuses.find('me', ['c'])).toEqual([
    { id: 'c', state: 'succeeded', result: null, intermediate: null },
  ]);
});
