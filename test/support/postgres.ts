import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { PostgresServer, freePort } from '../../src/persistence/postgres-server.js';

/** A PostgreSQL server of its own, for tests that take the database away; it syncs to disk as a real one does. */
export class TestPostgres {
  private frozen: number[] = [];

  private constructor(
    private readonly directory: string,
    private readonly server: PostgresServer,
    private readonly port: number,
    /** An empty database. */
    readonly url: string,
  ) {}

  static async start(): Promise<TestPostgres> {
    const directory = await mkdtemp(join(tmpdir(), 'infernet-gateway-outage-'));
    const server = await PostgresServer.open(directory, { max_connections: '50' });
    const port = await freePort();
    await server.start(port);
    return new TestPostgres(directory, server, port, await server.url(port, 'postgres'));
  }

  /** Ends it as a crash does; `revive` brings it back with all that was committed, on the same port. */
  async crash(): Promise<void> {
    await this.server.stop('immediate');
  }

  async revive(): Promise<void> {
    await this.server.start(this.port);
  }

  /** Makes every process of it stand still, its connections open, until `thaw`. */
  async freeze(): Promise<void> {
    const { pid } = (await this.server.running()) ?? {};
    if (pid === undefined) throw new Error('the server does not run');
    // The first one starts all others, so with it at rest there will be no more of them.
    process.kill(pid, 'SIGSTOP');
    this.frozen = [pid, ...(await childrenOf(pid))];
    for (const each of this.frozen) signal(each, 'SIGSTOP');
  }

  /** Ends what `freeze` began; safe at any time. */
  thaw(): void {
    for (const pid of this.frozen.splice(0).toReversed()) signal(pid, 'SIGCONT');
  }

  async stop(): Promise<void> {
    this.thaw();
    await this.server.stop('immediate');
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** To a process that may have ended meanwhile. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Linux only: the parent is the fourth field of /proc/PID/stat, after a name that may hold anything but `) `. */
async function childrenOf(parent: number): Promise<number[]> {
  const children: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    if (Number(stat.split(') ').at(-1)?.split(' ')[1]) === parent) children.push(Number(name));
  }
  return children;
}
