import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';

import { applyMigrations } from '../../src/persistence/migrations.js';
import { PostgresServer, freePort } from '../../src/persistence/postgres-server.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** Superuser's URL of the run's PostgreSQL server. */
    adminDatabaseUrl: string;
  }
}

/** The database that test databases are copied from: empty, with every migration applied. */
export const TEMPLATE = 'gateway_template';

/** One PostgreSQL server for the whole run, thrown away at its end, so safe without syncing to disk. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'infernet-gateway-test-'));
  const server = await PostgresServer.open(directory, { fsync: 'off', max_connections: '400' });
  const port = await freePort();
  await server.start(port);
  const adminUrl = await server.url(port, 'postgres');
  const admin = new pg.Client({ connectionString: adminUrl });
  await admin.connect();
  await admin.query(`CREATE DATABASE ${TEMPLATE}`);
  await admin.end();
  await applyMigrations(await server.url(port, TEMPLATE));
  project.provide('adminDatabaseUrl', adminUrl);
  return async () => {
    await server.stop('immediate');
    await rm(directory, { recursive: true, force: true });
  };
}
