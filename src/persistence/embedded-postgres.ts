import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

import { PostgresServer, freePort } from './postgres-server.js';

export interface EmbeddedPostgres {
  /** Connection string of the gateway's database, superuser rights and password included. */
  url: string;
  /** Stops the server after its clients were told; safe twice. Open transactions are rolled back. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** Kept between runs; created when missing. */
  dataDir: string;
  /** Receives a line for each event worth a log entry. */
  log?: (line: string) => void;
}

const DATABASE = 'gateway';
/** Longest wait for a server to accept connections; replaying the log after a crash takes its time. */
const START_LIMIT_MS = 120_000;
/** How long a killed gateway's session may hold the lock until the server notices, in milliseconds. */
const LOCK_PATIENCE_MS = 3_000;
const POLL_MS = 100;
const START_ATTEMPTS = 5;
const RETRY_PAUSE_MS = 500;
/** Session lock, on the server itself, that marks the one gateway a data directory belongs to. */
const OWNER_LOCK = 'SELECT pg_try_advisory_lock(7311940250)';

/**
 * Runs a PostgreSQL server for this gateway alone, on 127.0.0.1 and a free port.
 *
 * A gateway that was killed leaves its server running; the next one to start on the same directory adopts
 * it. Which of the two cases holds is not decided by process numbers, which containers reuse, but by a
 * session lock on the server: it is gone exactly when its gateway is. While the gateway runs, a server
 * that dies is started again on the same port.
 *
 * @throws Error when another gateway uses `dataDir`, the server does not start, or it is not installed.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const log = options.log ?? (() => undefined);
  const server = await PostgresServer.open(options.dataDir);
  const keeper = new ServerKeeper(server, options.dataDir, log);
  const port = await keeper.acquire();
  await server.removeLeftovers();
  await ensureDatabase(await server.url(port, 'postgres'));
  log(`PostgreSQL listens on 127.0.0.1:${port}; its data is in ${options.dataDir}.`);
  return { url: await server.url(port, DATABASE), stop: () => keeper.stop() };
}

/** Owns the server for as long as the gateway runs: takes the lock, revives the server, stops it. */
class ServerKeeper {
  private owner?: pg.Client;
  private pid?: number;
  private port?: number;
  private stopping?: Promise<void>;

  constructor(
    private readonly server: PostgresServer,
    private readonly dataDir: string,
    private readonly log: (line: string) => void,
  ) {}

  /** Starts or adopts the server and locks it for this gateway; returns its port. */
  async acquire(): Promise<number> {
    const deadline = Date.now() + START_LIMIT_MS;
    let failures = 0;
    while (Date.now() < deadline && !this.stopping) {
      const running = await this.server.running();
      if (running === undefined) {
        // A start fails for a while when someone took the port, started a server on this directory at the
        // same time, or when processes of a killed server are still ending.
        await this.server.start(this.port ?? (await freePort())).catch(async (error: unknown) => {
          if (++failures === START_ATTEMPTS) throw error;
          await sleep(RETRY_PAUSE_MS);
        });
        continue;
      }
      const client = await this.connect(running.port);
      if (client === undefined) {
        await sleep(POLL_MS);
        continue;
      }
      await this.lock(client);
      [this.owner, this.pid, this.port] = [client, running.pid, running.port];
      client.once('end', () => void this.revive());
      process.once('exit', this.stopAtExit);
      return running.port;
    }
    throw new Error(`The embedded PostgreSQL in ${this.dataDir} accepts no connections.`);
  }

  stop(): Promise<void> {
    this.stopping ??= (async () => {
      process.removeListener('exit', this.stopAtExit);
      await this.owner?.end().catch(() => undefined);
      await this.server.stop();
    })();
    return this.stopping;
  }

  private async connect(port: number): Promise<pg.Client | undefined> {
    const client = new pg.Client({
      connectionString: await this.server.url(port, 'postgres'),
      keepAlive: true,
    });
    client.on('error', () => undefined); // 'end' follows and is acted upon
    return client.connect().then(
      () => client,
      () => undefined,
    );
  }

  private async lock(client: pg.Client): Promise<void> {
    const deadline = Date.now() + LOCK_PATIENCE_MS;
    for (;;) {
      const { rows } = await client.query<{ pg_try_advisory_lock: boolean }>(OWNER_LOCK);
      if (rows[0]?.pg_try_advisory_lock) return;
      if (Date.now() > deadline) break;
      await sleep(POLL_MS);
    }
    await client.end();
    throw new Error(
      `The data directory ${this.dataDir} is in use by another gateway. ` +
        'Stop that one, choose another directory, or share a server through DATABASE_URL.',
    );
  }

  /** The connection that holds the lock broke: the server went away, or restarts after a crash. */
  private async revive(): Promise<void> {
    process.removeListener('exit', this.stopAtExit);
    while (!this.stopping) {
      this.log('The embedded PostgreSQL went away; starting it again.');
      try {
        await this.acquire();
        this.log('The embedded PostgreSQL is back.');
        return;
      } catch (error) {
        this.log(String(error));
        await sleep(RETRY_PAUSE_MS, undefined, { ref: false });
      }
    }
  }

  /** For exits that skip {@link stop}, such as process.exit: SIGINT asks the server to stop by itself. */
  private readonly stopAtExit = (): void => {
    try {
      if (this.pid) process.kill(this.pid, 'SIGINT');
    } catch {
      // It is gone already.
    }
  };
}

async function ensureDatabase(adminUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await client.end();
  }
}
