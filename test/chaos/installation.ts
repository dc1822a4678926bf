import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { freePort } from '../../src/persistence/postgres-server.js';
import { ReplicaClient } from './callers.js';
import type { Options } from './options.js';
import { Random } from './random.js';
import { Reaper } from './reaper.js';
import { Relay } from './relay.js';
import { LEASE_TTL_MS } from './schedule.js';
import { ChaosPostgres, ChaosRedis } from './servers.js';
import { Supervised } from './supervised.js';

/** One emulated node with the relay in front of it. */
export interface NodePlace {
  readonly name: string;
  readonly process: Supervised;
  readonly relay: Relay;
  /** Past the relay: for the control surface only. */
  readonly url: string;
  readonly executionLog: string;
}

export interface Replica {
  readonly process: Supervised;
  readonly client: ReplicaClient;
}

/** A whole installation in processes of its own: PostgreSQL, Redis, gateways, and nodes behind relays. */
export class Installation {
  readonly replicas: Replica[] = [];
  readonly nodes: NodePlace[] = [];

  private constructor(
    readonly folder: string,
    private readonly options: Options,
    private readonly reaper: Reaper,
    readonly postgres: ChaosPostgres,
    readonly redis: ChaosRedis | undefined,
  ) {}

  /**
   * Starts everything; it serves when the promise resolves.
   * @param folder for data, logs and the ledger
   */
  static async start(folder: string, options: Options): Promise<Installation> {
    const reaper = new Reaper();
    try {
      const postgres = await ChaosPostgres.start(join(folder, 'postgres'), reaper);
      const redis =
        options.queue === 'redis' ? await ChaosRedis.start(join(folder, 'redis'), reaper) : undefined;
      const installation = new Installation(folder, options, reaper, postgres, redis);
      await installation.startNodes();
      await installation.startReplicas();
      return installation;
    } catch (error) {
      reaper.close();
      throw error;
    }
  }

  /** Gateways first, so that none of them complains about what is taken from under it. */
  async stop(): Promise<void> {
    await Promise.all(this.replicas.map(({ process }) => process.end('SIGTERM')));
    await Promise.all(this.replicas.map(({ client }) => client.close()));
    await Promise.all(this.nodes.map(({ process }) => process.end('SIGKILL')));
    await Promise.all(this.nodes.map(({ relay }) => relay.close()));
    await this.redis?.process.end('SIGKILL');
    await this.postgres.stop('fast');
    this.reaper.close();
  }

  /** Resolves when no node executes anything any more, or when the time is up. */
  async idle(limitMs: number): Promise<void> {
    const deadline = Date.now() + limitMs;
    const isIdle = async ({ url }: NodePlace): Promise<boolean> => {
      const state = (await (await fetch(`${url}/__emulator/state`)).json()) as Record<string, unknown>;
      return state['busySlots'] === 0 && state['queued'] === 0;
    };
    while (Date.now() < deadline) {
      const idle = await Promise.all(this.nodes.map((node) => isIdle(node).catch(() => false)));
      if (idle.every(Boolean)) return;
      await new Promise((wake) => setTimeout(wake, 250));
    }
  }

  private async startNodes(): Promise<void> {
    const { dist, nodes, slots, seed } = this.options;
    for (let index = 0; index < nodes; index += 1) {
      const [port, relayPort] = [await freePort(), await freePort()];
      const name = `chaos-node-${index + 1}`;
      const url = `http://127.0.0.1:${port}`;
      const executionLog = join(this.folder, `executions-${name}.ndjson`);
      const identity = ['--port', String(port), '--name', name, '--slots', String(slots)];
      const process = new Supervised({
        name,
        command: globalThis.process.execPath,
        args: [
          resolve(dist, 'emulator/main.js'),
          ...identity,
          '--rate-limit',
          'off',
          '--execution-log',
          executionLog,
        ],
        env: {},
        logFile: join(this.folder, `${name}.log`),
        isReady: async () => (await fetch(`${url}/__emulator/state`)).ok,
        reaper: this.reaper,
      });
      const relay = new Relay(relayPort, port, new Random(seed * 1_000 + 500 + index));
      this.nodes.push({ name, process, relay, url, executionLog });
    }
    await Promise.all(this.nodes.map(({ process }) => process.start()));
    await Promise.all(this.nodes.map(({ relay }) => relay.setNodeUp(true)));
  }

  private async startReplicas(): Promise<void> {
    const adminToken = randomBytes(24).toString('hex');
    for (let index = 0; index < this.options.replicas; index += 1) {
      const port = await freePort();
      const name = `gateway-${index + 1}`;
      const client = new ReplicaClient(`http://127.0.0.1:${port}`, adminToken);
      const dataDir = join(this.folder, name);
      await mkdir(dataDir, { recursive: true });
      const process = new Supervised({
        name,
        command: globalThis.process.execPath,
        args: ['--enable-source-maps', resolve(this.options.dist, 'main.js')],
        env: {
          NODE_ENV: 'production',
          HOST: '127.0.0.1',
          PORT: String(port),
          DATABASE_URL: this.postgres.url,
          REDIS_URL: this.redis?.url ?? '',
          DATA_DIR: dataDir,
          ADMIN_TOKEN: adminToken,
          NODES: this.nodes.map(({ relay }) => `http://127.0.0.1:${relay.port}`).join(','),
          TRUST_PROXY: 'loopback',
          LOG_LEVEL: 'warn',
          LEASE_TTL_MS: String(LEASE_TTL_MS),
          PROBE_INTERVAL_MS: '500',
          PROBE_TIMEOUT_MS: '1000',
          SUBMIT_TIMEOUT_MS: '2000',
        },
        logFile: join(this.folder, `${name}.log`),
        isReady: () => client.isHealthy(),
        reaper: this.reaper,
      });
      this.replicas.push({ process, client });
    }
    // One after the other, as a rolling start would; the first applies the migrations.
    for (const { process } of this.replicas) await process.start();
  }
}
