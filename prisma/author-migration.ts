/**
 * Writes the migration that brings the database from the existing migrations to schema.prisma:
 * `npm run migration -- <name>`. Read the SQL before committing it; the gateway applies it at its next
 * start. A migration that may already be applied somewhere must never be changed.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

import { startEmbeddedPostgres } from '../src/persistence/embedded-postgres.js';
import { MIGRATIONS_DIRECTORY, applyMigrations } from '../src/persistence/migrations.js';
import { SCHEMA_PATH, diffToSchema } from './schema-diff.js';

async function authorMigration(name: string): Promise<void> {
  await mkdir(MIGRATIONS_DIRECTORY, { recursive: true });
  const sql = await missingSql();
  if (sql === '') {
    console.log('The migrations already produce schema.prisma; nothing to write.');
    return;
  }
  const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
  const file = join(MIGRATIONS_DIRECTORY, `${stamp}_${name}`, 'migration.sql');
  await mkdir(join(file, '..'));
  await writeFile(file, sql);
  console.log(`Wrote ${relative(process.cwd(), file)}.`);
}

async function missingSql(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'infernet-gateway-migration-'));
  const postgres = await startEmbeddedPostgres({ dataDir });
  try {
    await applyMigrations(postgres.url);
    return await diffToSchema(postgres.url, await readFile(SCHEMA_PATH, 'utf8'));
  } finally {
    await postgres.stop();
    await rm(dataDir, { recursive: true });
  }
}

const name = process.argv[2] ?? '';
if (!/^[a-z0-9_]+$/.test(name)) {
  console.error('Usage: npm run migration -- <name in lower_snake_case>');
  process.exitCode = 1;
} else {
  await authorMigration(name);
}
