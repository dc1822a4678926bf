import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { readSettings } from '../../src/config/settings.js';
import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import type { EmulatedNodeOptions } from '../../src/emulator/options.js';
import { startGateway, type Gateway } from '../../src/gateway.js';
import { createTestDatabase } from './database.js';
import { json, send, type RawReply, type RawRequest } from './http.js';
import { waitUntil } from './wait.js';

/** A row of `GET /api/jobs?id=…`. */
export interface JobRow {
  readonly id: string;
  readonly status: 'running' | 'success' | 'failed';
  readonly result: { container: string; output?: unknown; error?: string } | null;
  readonly intermediate_results?: unknown[];
}

/** A node as the admin API shows it; what tests look at. */
export interface NodeRow {
  readonly id: string;
  readonly url: string;
  readonly name: string;
  readonly state: string;
  readonly health: string;
  readonly inFlight: number;
  readonly [member: string]: unknown;
}

const ADMIN_TOKEN = 'an-admin-token-of-the-tests';

/** A gateway in this process, on a free port and a database of its own. Everything it is asked goes over HTTP. */
export class TestGateway {
  private constructor(
    private readonly environment: Record<string, string>,
    private readonly cleanUp: () => Promise<void>,
    private gateway: Gateway,
  ) {}

  /** @param environment settings as operators write them; DATABASE_URL takes the place of a test database */
  static async start(environment: Record<string, string> = {}): Promise<TestGateway> {
    const dataDir = await mkdtemp(join(tmpdir(), 'infernet-gateway-data-'));
    const database = environment['DATABASE_URL'] === undefined ? await createTestDatabase() : undefined;
    const cleanUp = async (): Promise<void> => {
      await database?.drop();
      await rm(dataDir, { recursive: true, force: true });
    };
    const all = {
      HOST: '127.0.0.1',
      PORT: '0',
      ADMIN_TOKEN,
      LOG_LEVEL: 'silent',
      PROBE_INTERVAL_MS: '200',
      SHUTDOWN_BUDGET_MS: '500',
      DATA_DIR: dataDir,
      ...(database === undefined ? {} : { DATABASE_URL: database.url }),
      ...environment,
    };
    try {
      return new TestGateway(all, cleanUp, await startGateway(readSettings(all)));
    } catch (error) {
      await cleanUp();
      throw error;
    }
  }

  get url(): string {
    return this.gateway.url;
  }

  get adminToken(): string {
    return this.gateway.adminToken;
  }

  /** Stops it and removes its database. */
  async stop(): Promise<void> {
    await this.gateway.stop();
    await this.cleanUp();
  }

  /** Stops it; `start` goes on with the same database. */
  async pause(): Promise<void> {
    await this.gateway.stop();
  }

  /** After `pause`, maybe with other settings. */
  async resume(environment: Record<string, string> = {}): Promise<void> {
    this.gateway = await startGateway(readSettings({ ...this.environment, ...environment }));
  }

  send(path: string, options: RawRequest = {}): Promise<RawReply> {
    return send(this.url + path, options);
  }

  /** `POST /api/jobs` with exactly this body. */
  post(body: string | Buffer, headers: Record<string, string> = {}): Promise<RawReply> {
    return this.send('/api/jobs', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });
  }

  /** Hands in a job that must be accepted. @returns its id */
  async submit(
    containers: readonly string[],
    data: object,
    headers?: Record<string, string>,
  ): Promise<string> {
    const reply = await this.post(JSON.stringify({ containers, data }), headers);
    const { id } = json<{ id?: string }>(reply);
    if (reply.status !== 200 || id === undefined) throw new Error(`${reply.status} ${reply.text}`);
    return id;
  }

  /** `POST /api/jobs/batch` with exactly this body. */
  postBatch(body: string | Buffer, headers: Record<string, string> = {}): Promise<RawReply> {
    return this.send('/api/jobs/batch', { method: 'POST', headers, body });
  }

  /** `GET /api/jobs?id=…`, as it came. */
  getResults(ids: readonly string[], headers: Record<string, string> = {}, more = ''): Promise<RawReply> {
    const query = ids.map((id) => `id=${encodeURIComponent(id)}`).join('&');
    return this.send(`/api/jobs?${query}${more}`, { headers });
  }

  async rows(ids: readonly string[], headers: Record<string, string> = {}): Promise<JobRow[]> {
    return json<JobRow[]>(await this.getResults(ids, headers));
  }

  /** In their order of arrival, which the call itself does not promise. */
  async ids(query = '', headers: Record<string, string> = {}): Promise<string[]> {
    return json<string[]>(await this.send(`/api/jobs${query}`, { headers })).sort();
  }

  /** Waits until all these jobs have ended. @returns their rows in the order of `ids` */
  async finished(
    ids: readonly string[],
    headers: Record<string, string> = {},
    withinMs = 40_000,
  ): Promise<JobRow[]> {
    const rows = new Map<string, JobRow>();
    await waitUntil(
      `${ids.length} jobs have ended`,
      async () => {
        const missing = ids.filter((id) => !rows.has(id));
        for (let from = 0; from < missing.length; from += 200) {
          for (const row of await this.rows(missing.slice(from, from + 200), headers)) {
            if (row.status !== 'running') rows.set(row.id, row);
          }
        }
        return ids.every((id) => rows.has(id));
      },
      { withinMs },
    );
    return ids.map((id) => rows.get(id) as JobRow);
  }

  /** An admin call with the token; a body is sent as JSON. */
  admin(method: RawRequest['method'], path: string, body?: unknown): Promise<RawReply> {
    const headers: Record<string, string> = { authorization: `Bearer ${this.adminToken}` };
    if (body === undefined) return this.send(`/admin${path}`, { method, headers });
    headers['content-type'] = 'application/json';
    return this.send(`/admin${path}`, { method, headers, body: JSON.stringify(body) });
  }

  /** Registers a node that must be taken. */
  async register(url: string, wishes: object = {}): Promise<NodeRow> {
    const reply = await this.admin('POST', '/nodes', { url, ...wishes });
    if (reply.status !== 201) throw new Error(`${reply.status} ${reply.text}`);
    return json<NodeRow>(reply);
  }

  async nodes(): Promise<NodeRow[]> {
    return json<{ nodes: NodeRow[] }>(await this.admin('GET', '/nodes')).nodes;
  }

  async node(id: string): Promise<NodeRow | undefined> {
    return (await this.nodes()).find((node) => node.id === id);
  }

  /** Waits until a node is seen in this state of health. */
  async seen(id: string, health: 'up' | 'down'): Promise<void> {
    await waitUntil(`the node is ${health}`, async () => (await this.node(id))?.health === health);
  }
}

/** A gateway in front of emulated nodes, without rate limits, that it has registered. */
export interface TestFleet {
  readonly gateway: TestGateway;
  readonly nodes: EmulatedNode[];
  /** As registered, in the order of `nodes`. */
  readonly registered: NodeRow[];
  /** Every submission that a node received, of all nodes, oldest first. */
  submissions(): Buffer[];
  stop(): Promise<void>;
}

/** Starts emulated nodes and a gateway, and registers the nodes through the admin API. */
export async function startTestGateway(
  options: {
    readonly settings?: Record<string, string>;
    readonly nodes?: readonly EmulatedNodeOptions[];
  } = {},
): Promise<TestFleet> {
  const nodes: EmulatedNode[] = [];
  for (const [index, node] of (options.nodes ?? [{}]).entries()) {
    nodes.push(await EmulatedNode.start({ name: `node-${index}`, rateLimit: false, ...node }));
  }
  const gateway = await TestGateway.start(options.settings);
  const registered: NodeRow[] = [];
  for (const node of nodes) registered.push(await gateway.register(node.url));
  return {
    gateway,
    nodes,
    registered,
    submissions: () =>
      nodes
        .flatMap((node) => node.received.filter(({ method }) => method === 'POST'))
        .sort((a, b) => a.at - b.at)
        .map(({ body }) => body),
    stop: async () => {
      await gateway.stop();
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}
