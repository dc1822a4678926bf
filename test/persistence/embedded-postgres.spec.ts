import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { startEmbeddedPostgres } from '../../src/persistence/embedded-postgres.js';
import { PostgresServer } from '../../src/persistence/postgres-server.js';

const FIXTURE = fileURLToPath(new URL('embedded-postgres.fixture.ts', import.meta.url));

describe('startEmbeddedPostgres', () => {
  let dataDir: string;
  const gateways: ChildProcess[] = [];

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'infernet-gateway-embedded-'));
  });
  afterEach(async () => {
    for (const gateway of gateways.splice(0)) gateway.kill('SIGKILL');
    await (await PostgresServer.open(dataDir)).stop('immediate');
    await rm(dataDir, { recursive: true, force: true });
  });

  /** Runs a gateway in another process; resolves with the URL once its database runs. */
  async function startGateway(...args: string[]): Promise<{ gateway: ChildProcess; url: string }> {
    const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit'];
    const gateway = spawn(process.execPath, ['--import', 'tsx', FIXTURE, dataDir, ...args], { stdio });
    gateways.push(gateway);
    const [url] = (await once(createInterface(gateway.stdout), 'line')) as [string];
    return { gateway, url };
  }
  async function query(url: string, sql: string): Promise<Record<string, unknown>> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return ((await client.query(sql)).rows[0] ?? {}) as Record<string, unknown>;
    } finally {
      await client.end();
    }
  }
  const serverPid = async () => (await (await PostgresServer.open(dataDir)).running())?.pid;

  it('keeps its data between runs, is durable, private, and gone after stop', async () => {
    const first = await startEmbeddedPostgres({ dataDir });
    await query(first.url, 'CREATE TABLE kept AS SELECT 7 AS seven');
    await first.stop();
    await first.stop();
    expect(await serverPid()).toBeUndefined();

    const second = await startEmbeddedPostgres({ dataDir });
    expect(await query(second.url, 'SELECT * FROM kept')).toEqual({ seven: 7 });
    const settings = `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit,
      current_setting('max_connections')::int AS connections, current_setting('listen_addresses') AS addresses,
      current_setting('server_encoding') AS encoding, inet_server_addr()::text AS address`;
    expect(await query(second.url, settings)).toEqual({
      fsync: 'on',
      commit: 'on',
      connections: 200,
      addresses: '127.0.0.1',
      encoding: 'UTF8',
      address: '127.0.0.1/32',
    });
    const passwordFile = join(dataDir, 'cluster', 'password');
    expect((await stat(passwordFile)).mode & 0o777).toBe(0o600);
    expect(second.url).toContain((await readFile(passwordFile, 'utf8')).trim());
    await expect(query(second.url.replace(/:[^:@]+@/, ':guess@'), 'SELECT 1')).rejects.toThrow('password');
    await second.stop();
  });

  it('refuses a directory that another gateway uses', async () => {
    await startGateway();
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow('is in use by another gateway');
  });

  it('lets one of two gateways that start at once on a new directory have it', async () => {
    const results = await Promise.allSettled([
      startEmbeddedPostgres({ dataDir }),
      startEmbeddedPostgres({ dataDir }),
    ]);
    const winners = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    expect(winners).toHaveLength(1);
    await winners[0]?.stop();
    expect((await readdir(dataDir)).filter((name) => name.startsWith('new-'))).toEqual([]);
  });

  it('adopts the server that a killed gateway left running', async () => {
    const { gateway, url } = await startGateway();
    const pid = await serverPid();
    gateway.kill('SIGKILL');
    await once(gateway, 'exit');
    expect(await serverPid()).toBe(pid);

    const adopted = await startEmbeddedPostgres({ dataDir });
    expect(adopted.url).toBe(url);
    expect(await serverPid()).toBe(pid);
    await adopted.stop();
    expect(await serverPid()).toBeUndefined();
  });

  it('starts after gateway and server were both killed', async () => {
    const { gateway, url } = await startGateway();
    await query(url, 'CREATE TABLE kept AS SELECT 7 AS seven');
    gateway.kill('SIGKILL');
    process.kill((await serverPid()) ?? 0, 'SIGKILL');
    const postgres = await startEmbeddedPostgres({ dataDir });
    expect(await query(postgres.url, 'SELECT * FROM kept')).toEqual({ seven: 7 });
    await postgres.stop();
  });

  it('leaves no server behind at SIGTERM and at process.exit', async () => {
    const { gateway } = await startGateway();
    gateway.kill('SIGTERM');
    await once(gateway, 'exit');
    expect(await serverPid()).toBeUndefined();

    await startGateway('exit');
    await vi.waitFor(async () => expect(await serverPid()).toBeUndefined(), { timeout: 10_000 });
  });

  it('revives a server that dies, at the same address', async () => {
    const lines: string[] = [];
    const postgres = await startEmbeddedPostgres({ dataDir, log: (line) => lines.push(line) });
    const pid = (await serverPid()) ?? 0;
    process.kill(pid, 'SIGKILL');
    await vi.waitFor(() => expect(lines).toContain('The embedded PostgreSQL is back.'), { timeout: 20_000 });
    expect(await query(postgres.url, 'SELECT 1 AS one')).toEqual({ one: 1 });
    expect(await serverPid()).not.toBe(pid);
    await postgres.stop();
  });
});
