import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

const ROOT = join(import.meta.dirname, '../..');
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 20_000;

/** A gateway as operators run it: the built program in a process of its own, with a database of its own. */
export class GatewayProcess {
  private constructor(
    readonly url: string,
    private readonly child: ChildProcess,
    private readonly removeData: () => Promise<void>,
  ) {}

  /**
   * @param nodes URLs of the nodes to register
   * @param environment further settings
   * @throws Error when it does not start to listen
   */
  static async start(
    nodes: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<GatewayProcess> {
    const dataDir = await mkdtemp(join(tmpdir(), 'infernet-gateway-conformance-'));
    const database = await ownDatabase(process.env['DATABASE_URL']);
    const child = spawn(process.execPath, [join(ROOT, 'dist/main.js')], {
      env: {
        ...process.env,
        HOST: '127.0.0.1',
        PORT: '0',
        DATA_DIR: dataDir,
        DATABASE_URL: database?.url ?? '',
        LOG_LEVEL: 'warn',
        NODES: nodes.join(','),
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const removeData = async (): Promise<void> => {
      await database?.drop();
      await rm(dataDir, { recursive: true, force: true });
    };
    try {
      return new GatewayProcess(await listeningUrl(child), child, removeData);
    } catch (error) {
      await end(child);
      await removeData();
      throw error;
    }
  }

  /** Ends it as operators do, and removes its data. */
  async stop(): Promise<void> {
    await end(this.child);
    await this.removeData();
  }
}

async function listeningUrl(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> });
  return new Promise((resolve, reject) => {
    const fail = (problem: string): void => reject(new Error(`The gateway ${problem}`));
    const timer = setTimeout(() => fail(`does not listen after ${START_LIMIT_MS} ms`), START_LIMIT_MS);
    child.once('exit', (code) => {
      clearTimeout(timer);
      fail(`ended with ${code} before it listened`);
    });
    lines.on('line', (line) => {
      // Log entries: warnings, which are worth reading.
      if (line.startsWith('{')) process.stderr.write(`${line}\n`);
      const url = /gateway listens on (\S+)/.exec(line)?.[1];
      if (url === undefined) return;
      clearTimeout(timer);
      resolve(url);
    });
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const isLate = await Promise.race([exited.then(() => false), sleep(STOP_LIMIT_MS, true, { ref: false })]);
  if (!isLate) return;
  process.stderr.write(`The gateway did not stop within ${STOP_LIMIT_MS} ms and is killed\n`);
  child.kill('SIGKILL');
  await exited;
}

/** A new database on the given server, so that other runs' jobs and nodes do not show; undefined without a server. */
async function ownDatabase(
  serverUrl: string | undefined,
): Promise<{ url: string; drop(): Promise<void> } | undefined> {
  if (!serverUrl) return undefined;
  const name = `conformance_${randomBytes(6).toString('hex')}`;
  const execute = async (statement: string): Promise<void> => {
    const client = new pg.Client({ connectionString: serverUrl });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  };
  await execute(`CREATE DATABASE ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => execute(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) };
}
