import { mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { freePort, PostgresServer } from '../../src/persistence/postgres-server.js';
import type { Reaper } from './reaper.js';
import { Supervised } from './supervised.js';

const DATABASE = 'gateway';

/** A PostgreSQL of its own that syncs to disk, so that its crash proves something. */
export class ChaosPostgres {
  private pid?: number;

  private constructor(
    private readonly server: PostgresServer,
    private readonly port: number,
    private readonly reaper: Reaper,
    readonly url: string,
  ) {}

  static async start(folder: string, reaper: Reaper): Promise<ChaosPostgres> {
    const server = await PostgresServer.open(folder);
    const port = await freePort();
    const postgres = new ChaosPostgres(server, port, reaper, await server.url(port, DATABASE));
    await postgres.start();
    await postgres.run(`CREATE DATABASE ${DATABASE}`, await server.url(port, 'postgres'));
    return postgres;
  }

  async start(): Promise<void> {
    await this.server.start(this.port);
    this.pid = (await this.server.running())?.pid;
    if (this.pid !== undefined) this.reaper.watch(this.pid, 'QUIT');
  }

  /** `immediate` is a crash: sessions are cut, nothing is written, the next start recovers from the log. */
  async stop(mode: 'fast' | 'immediate'): Promise<void> {
    await this.server.stop(mode);
    if (this.pid !== undefined) this.reaper.forget(this.pid, 'QUIT');
    this.pid = undefined;
  }

  /** Empties the tables of the queues; what records the version of their schema stays. */
  async emptyQueues(): Promise<void> {
    await this.run(`
      DO $$ DECLARE tables text; BEGIN
        SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') INTO tables
          FROM pg_tables WHERE schemaname = 'bullmq' AND tablename NOT LIKE '%migration%';
        IF tables IS NOT NULL THEN EXECUTE 'TRUNCATE ' || tables; END IF;
      END $$`);
  }

  private async run(statement: string, url = this.url): Promise<void> {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

/** A Redis set as in production: nothing is evicted, and what it holds is appended to a file. */
export class ChaosRedis {
  readonly process: Supervised;

  private constructor(
    private readonly port: number,
    folder: string,
    reaper: Reaper,
  ) {
    const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder];
    const durability = ['--appendonly', 'yes', '--save', '', '--maxmemory-policy', 'noeviction'];
    this.process = new Supervised({
      name: 'redis',
      command: 'redis-server',
      args: [...place, ...durability],
      env: { PATH: process.env['PATH'] ?? '' },
      logFile: join(folder, 'redis.log'),
      isReady: async () => (await this.command('PING')).startsWith('+PONG'),
      reaper,
    });
  }

  static async start(folder: string, reaper: Reaper): Promise<ChaosRedis> {
    await mkdir(folder, { recursive: true });
    const redis = new ChaosRedis(await freePort(), folder, reaper);
    await redis.process.start();
    return redis;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  async flush(): Promise<void> {
    await this.command('FLUSHALL');
  }

  private command(line: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.port, '127.0.0.1', () => socket.write(`${line}\r\n`));
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('redis closed the connection')));
      socket.once('data', (reply) => {
        resolve(reply.toString());
        socket.destroy();
      });
    });
  }
}
