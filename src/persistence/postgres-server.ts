import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

import { type ServerAccount, serverAccount } from './postgres-account.js';
import { type PostgresBinaries, locatePostgresBinaries } from './postgres-binaries.js';

const run = promisify(execFile);

/** Longest wait for the server to start or to stop, in seconds. */
const PATIENCE_SECONDS = 60;

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  // No socket file: its directory would need to be short and writable everywhere.
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: `${sharedBuffersMb()}MB`,
  // An answered job must survive a crash (guarantee G1), so neither may be weakened here.
  fsync: 'on',
  synchronous_commit: 'on',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
};

/**
 * A quarter of the memory, as PostgreSQL's manual advises, within reason. It is taken as it is used. With the default of 128 MB
 * callers waited half as long again for the results of a million jobs (docs/decisions/0019-hot-path.md).
 */
function sharedBuffersMb(): number {
  return Math.max(128, Math.min(512, Math.floor(totalmem() / 4 / 1_048_576)));
}

/** How to stop: `fast` ends sessions and writes everything; `immediate` is a crash, for tests. */
export type StopMode = 'fast' | 'immediate';

/**
 * One PostgreSQL cluster in a directory of its own, driven by `pg_ctl`: the server runs as a daemon in its
 * own session, so it neither receives the terminal's Ctrl-C nor depends on this process.
 *
 * `<directory>/cluster/data` is the cluster, `cluster/password` (mode 0600) the superuser's password and
 * `postgres.log` the server's log since its last start.
 */
export class PostgresServer {
  static readonly user = 'gateway';

  private constructor(
    private readonly directory: string,
    private readonly binaries: PostgresBinaries,
    private readonly account: ServerAccount,
    private readonly settings: Record<string, string>,
  ) {}

  /**
   * Prepares the cluster in `directory`, creating it if needed; the server is not started.
   *
   * @param settings Server settings to override, such as `{ fsync: 'off' }` in tests.
   */
  static async open(directory: string, settings: Record<string, string> = {}): Promise<PostgresServer> {
    directory = resolve(directory);
    const binaries = await locatePostgresBinaries();
    await mkdir(directory, { recursive: true });
    const cluster = await stat(join(directory, 'cluster', 'data')).catch(() => undefined);
    const account = await serverAccount([directory, binaries.initdb], cluster);
    if (account.owner) await chown(directory, account.owner.uid, account.owner.gid);
    const server = new PostgresServer(directory, binaries, account, { ...SETTINGS, ...settings });
    if (cluster === undefined) await server.createCluster();
    return server;
  }

  /** A URL for `database`, with the password, to the server on `port`. */
  async url(port: number, database: string): Promise<string> {
    const password = await readFile(join(this.directory, 'cluster', 'password'), 'utf8');
    return `postgresql://${PostgresServer.user}:${password.trim()}@127.0.0.1:${port}/${database}`;
  }

  /** The server that runs on this cluster now, whoever started it; it may still be starting. */
  async running(): Promise<{ pid: number; port: number } | undefined> {
    const pidFile = join(this.directory, 'cluster', 'data', 'postmaster.pid');
    const lines = (await readFile(pidFile, 'utf8').catch(() => '')).split('\n');
    const [pid, port] = [Number(lines[0]), Number(lines[3])];
    if (!pid || !isAlive(pid)) return undefined;
    // After a crash the number may belong to an unrelated process, and PostgreSQL would refuse to start.
    const program = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'postgres');
    if (program.trim() !== 'postgres') {
      await rm(pidFile, { force: true });
      return undefined;
    }
    return { pid, port };
  }

  /**
   * Starts the server and waits until it accepts connections.
   *
   * @throws Error with the end of the server's log when it does not start, as when `port` is taken or
   * another server got hold of the cluster first.
   */
  async start(port: number): Promise<void> {
    const settings = Object.entries({ ...this.settings, port: String(port) });
    const options = settings.map(([name, value]) => `-c ${name}=${value}`).join(' ');
    const log = join(this.directory, 'postgres.log');
    await rename(log, `${log}.old`).catch(() => undefined);
    try {
      await this.execute(this.binaries.pgCtl, ['start', '-w', '-l', log, '-o', options]);
    } catch (cause) {
      const tail = (await readFile(log, 'utf8').catch(() => '')).trim().split('\n').slice(-5).join('\n');
      throw new Error(`The embedded PostgreSQL in ${this.directory} did not start.\n${tail}`, { cause });
    }
  }

  /** Stops the server and waits for its end; does nothing when it is not running. */
  async stop(mode: StopMode = 'fast'): Promise<void> {
    if ((await this.running()) === undefined) return;
    await this.execute(this.binaries.pgCtl, ['stop', '-w', '-m', mode]).catch(async (error: unknown) => {
      if ((await this.running()) !== undefined) throw error;
    });
  }

  /** Removes what an interrupted creation left; only for the one that has the cluster to itself. */
  async removeLeftovers(): Promise<void> {
    for (const name of await readdir(this.directory)) {
      if (name.startsWith('new-')) await rm(join(this.directory, name), { recursive: true, force: true });
    }
  }

  /** Created aside and moved into place whole, so that an interrupted or concurrent creation does no harm. */
  private async createCluster(): Promise<void> {
    const fresh = await mkdtemp(join(this.directory, 'new-'));
    const passwordFile = join(fresh, 'password');
    await writeFile(passwordFile, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 });
    const { owner } = this.account;
    if (owner) for (const path of [fresh, passwordFile]) await chown(path, owner.uid, owner.gid);
    const encoding = ['--locale=C', '--encoding=UTF8'];
    const identity = [
      `--username=${PostgresServer.user}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
    ];
    await this.execute(this.binaries.initdb, [...encoding, ...identity], join(fresh, 'data'));
    await rename(fresh, join(this.directory, 'cluster')).catch(async (error: NodeJS.ErrnoException) => {
      await rm(fresh, { recursive: true, force: true });
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  }

  private async execute(program: string, args: string[], data = join(this.directory, 'cluster', 'data')) {
    const { owner, prefix } = this.account;
    const [command, ...rest] = [...(prefix ?? []), program, ...args, '-D', data] as [string, ...string[]];
    // A clean environment: PGPORT and its like, or a locale that is not installed, must not interfere.
    const env = { LC_ALL: 'C', PATH: '/usr/bin:/bin', PGCTLTIMEOUT: String(PATIENCE_SECONDS) };
    await run(command, rest, { ...owner, env, cwd: this.directory });
  }
}

/** A TCP port of 127.0.0.1 that is free at this moment. */
export function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer().once('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => done(port));
    });
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
