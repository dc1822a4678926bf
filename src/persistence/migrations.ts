import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

/** `prisma/migrations` of this package; this file is two levels below the root, built or not. */
export const MIGRATIONS_DIRECTORY = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));

export interface MigrationOptions {
  /** Holds `<name>/migration.sql`; applied in the order of their names. */
  directory?: string;
  /** Receives a line for each migration applied. */
  log?: (line: string) => void;
}

interface Migration {
  name: string;
  sql: string;
  checksum: string;
}

/** The advisory lock that `prisma migrate` takes as well, so that the two never run at once. */
const MIGRATION_LOCK = 72707369;

/** As Prisma creates it, so that `prisma migrate deploy` and `prisma migrate status` agree with us. */
const CREATE_HISTORY = `
  CREATE TABLE IF NOT EXISTS _prisma_migrations (
    id                  VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum            VARCHAR(64) NOT NULL,
    finished_at         TIMESTAMPTZ,
    migration_name      VARCHAR(255) NOT NULL,
    logs                TEXT,
    rolled_back_at      TIMESTAMPTZ,
    started_at          TIMESTAMPTZ NOT NULL DEFAULT now(),
    applied_steps_count INTEGER NOT NULL DEFAULT 0
  )`;

/**
 * Brings the database to this version's schema: applies the migrations it lacks, each in one transaction
 * with its record. Replicas may start at the same time; one applies, the others wait and find it done.
 * Prisma's own command is not used because it downloads an engine, which offline machines cannot.
 *
 * @returns The names of the migrations applied now.
 * @throws Error, with nothing changed, when an applied migration differs from this version's file, failed
 * before, or is unknown to this version (the database was used by a newer one).
 */
export async function applyMigrations(
  databaseUrl: string,
  options: MigrationOptions = {},
): Promise<string[]> {
  const known = await readMigrations(options.directory ?? MIGRATIONS_DIRECTORY);
  const client = new pg.Client({
    connectionString: databaseUrl,
    application_name: 'infernet-gateway migrations',
  });
  await client.connect();
  try {
    // A session lock: it outlives the transactions below and ends with the connection.
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await client.query(CREATE_HISTORY);
    const pending = await pendingMigrations(client, known);
    for (const migration of pending) {
      await apply(client, migration);
      options.log?.(`Applied migration ${migration.name}.`);
    }
    return pending.map(({ name }) => name);
  } finally {
    await client.end();
  }
}

/** The names of the migrations in a folder, in the order in which they are applied. */
export async function migrationNames(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

async function readMigrations(directory: string): Promise<Migration[]> {
  const names = await migrationNames(directory);
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(join(directory, name, 'migration.sql'), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

/** Compares the recorded history with the files; returns what is left to do. */
async function pendingMigrations(client: pg.Client, known: Migration[]): Promise<Migration[]> {
  const { rows } = await client.query<{ migration_name: string; checksum: string; finished: boolean }>(
    `SELECT migration_name, checksum, finished_at IS NOT NULL AS finished
       FROM _prisma_migrations WHERE rolled_back_at IS NULL ORDER BY started_at`,
  );
  const applied = new Map(rows.map((row) => [row.migration_name, row]));
  for (const { migration_name: name, checksum, finished } of rows) {
    const file = known.find((migration) => migration.name === name);
    if (file === undefined) {
      throw new Error(
        `The database has the migration ${name}, which this version does not know. ` +
          'It was used by a newer version of the gateway: start that one, or restore a backup.',
      );
    }
    if (!finished) {
      throw new Error(
        `The migration ${name} was started on this database and did not finish. ` +
          'Repair it with `prisma migrate resolve`, or restore a backup.',
      );
    }
    if (file.checksum !== checksum) {
      throw new Error(
        `The migration ${name} was changed after it had been applied to this database ` +
          `(recorded checksum ${checksum}, file ${file.checksum}). Restore the file; changes need a new migration.`,
      );
    }
  }
  return known.filter(({ name }) => !applied.has(name));
}

async function apply(client: pg.Client, { name, sql, checksum }: Migration): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(sql);
    await client.query(
      `INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
       VALUES (gen_random_uuid(), $1, $2, now(), clock_timestamp(), 1)`,
      [checksum, name],
    );
    await client.query('COMMIT');
  } catch (cause) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw new Error(`The migration ${name} failed and was rolled back.`, { cause });
  }
}
