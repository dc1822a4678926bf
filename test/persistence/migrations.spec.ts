import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { SCHEMA_PATH, diffToSchema } from '../../prisma/schema-diff.js';
import { MIGRATIONS_DIRECTORY, applyMigrations } from '../../src/persistence/migrations.js';
import { type TestDatabase, createTestDatabase } from '../support/database.js';

describe('schema drift', () => {
  let database: TestDatabase;
  let schema: string;
  beforeAll(async () => {
    database = await createTestDatabase();
    schema = await readFile(SCHEMA_PATH, 'utf8');
  });
  afterAll(() => database.drop());

  it('has none: the migrations produce schema.prisma', async () => {
    expect(await diffToSchema(database.url, schema)).toBe('');
  });

  // Proof that the test above can fail, for each kind of object the schema uses.
  it.each([
    ['a column', 'reason     String?', 'reason     String', 'SET NOT NULL'],
    ['a default', '@default(1)', '@default(2)', 'SET DEFAULT 2'],
    ['an enum value', '  unreachable\n', '  unreachable\n  mislaid\n', "ADD VALUE 'mislaid'"],
    ['an index', '  @@index([caller, id])\n', '', 'DROP INDEX "jobs_caller_id_idx"'],
    [
      'the condition of an index',
      `"state = 'queued'"`,
      `"state = 'retrying'"`,
      'DROP INDEX "jobs_queued_idx"',
    ],
    ['a foreign key', 'onDelete: Cascade', 'onDelete: Restrict', 'ON DELETE RESTRICT'],
  ])('is seen in %s', async (_object, before, after, expected) => {
    const changed = schema.replace(before, after);
    expect(changed).not.toBe(schema);
    expect(await diffToSchema(database.url, changed)).toContain(expected);
  });
});

describe('applyMigrations', () => {
  let database: TestDatabase;
  let directory: string;
  let client: pg.Client;

  beforeEach(async () => {
    database = await createTestDatabase({ migrated: false });
    directory = await mkdtemp(join(tmpdir(), 'infernet-gateway-migrations-'));
    await cp(MIGRATIONS_DIRECTORY, directory, { recursive: true });
    client = new pg.Client({ connectionString: database.url });
    await client.connect();
  });
  afterEach(async () => {
    await client.end();
    await database.drop();
    await rm(directory, { recursive: true });
  });

  const apply = () => applyMigrations(database.url, { directory });
  const history = async () =>
    (await client.query('SELECT * FROM _prisma_migrations ORDER BY started_at')).rows;
  async function addMigration(name: string, sql: string): Promise<void> {
    await mkdir(join(directory, name));
    await writeFile(join(directory, name, 'migration.sql'), sql);
  }

  it('applies what is missing and records it as Prisma does; then has nothing to do', async () => {
    const names = (await readdir(directory, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    expect(await apply()).toEqual(names.map(({ name }) => name).sort());
    const sql = await readFile(join(directory, names[0]?.name ?? '', 'migration.sql'));
    expect((await history())[0]).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      checksum: createHash('sha256').update(sql).digest('hex'),
      finished_at: expect.any(Date),
      logs: null,
      rolled_back_at: null,
      applied_steps_count: 1,
    });
    expect(await apply()).toEqual([]);
    await addMigration('99990101000000_later', 'CREATE TABLE later (id int)');
    expect(await apply()).toEqual(['99990101000000_later']);
  });

  it('lets replicas start at the same time: one applies, the others find it done', async () => {
    const results = await Promise.all(Array.from({ length: 5 }, apply));
    expect(results.filter((applied) => applied.length > 0)).toHaveLength(1);
    expect(await history()).toHaveLength(results.flat().length);
  });

  it('refuses a migration changed after it was applied', async () => {
    await addMigration('99990101000000_later', 'CREATE TABLE later (id int)');
    await apply();
    await writeFile(
      join(directory, '99990101000000_later', 'migration.sql'),
      'CREATE TABLE later (id bigint)',
    );
    await expect(apply()).rejects.toThrow('99990101000000_later was changed after it had been applied');
  });

  it('refuses a database that a newer version has used', async () => {
    await addMigration('99990101000000_newer', 'CREATE TABLE newer (id int)');
    await apply();
    await rm(join(directory, '99990101000000_newer'), { recursive: true });
    await expect(apply()).rejects.toThrow('99990101000000_newer, which this version does not know');
  });

  it('refuses a database on which a migration of `prisma migrate` failed', async () => {
    await apply();
    await client.query('UPDATE _prisma_migrations SET finished_at = NULL');
    await expect(apply()).rejects.toThrow('did not finish');
  });

  it('rolls a failing migration back whole and can be run again', async () => {
    await addMigration('99990101000000_broken', 'CREATE TABLE half (id int); SELECT 1/0');
    await expect(apply()).rejects.toThrow('99990101000000_broken failed and was rolled back');
    const { rows } = await client.query(`SELECT to_regclass('half') AS half`);
    expect(rows).toEqual([{ half: null }]);
    await writeFile(join(directory, '99990101000000_broken', 'migration.sql'), 'CREATE TABLE half (id int)');
    expect(await apply()).toEqual(['99990101000000_broken']);
  });
});
