import pg from 'pg';

import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import type { EmulatedNodeOptions } from '../../src/emulator/options.js';
import { createTestDatabase, type TestDatabase } from './database.js';
import { TestGateway, type NodeRow } from './gateway.js';
import { at, QUICK } from './recovery.js';
import { waitUntil } from './wait.js';

/** Several gateways in this process on one database, and emulated nodes that they share. */
export class TestReplicas {
  readonly gateways: TestGateway[] = [];
  readonly nodes: EmulatedNode[] = [];
  /** As registered, in the order of `nodes`. */
  readonly registered: NodeRow[] = [];

  private constructor(
    private readonly database: TestDatabase,
    private readonly client: pg.Client,
    private readonly settings: Record<string, string>,
  ) {}

  /** Starts nodes and gateways, one after the other; resolves when each gateway has its share of the nodes. */
  static async start(options: {
    readonly gateways: number;
    readonly nodes: readonly EmulatedNodeOptions[];
    readonly settings?: Record<string, string>;
  }): Promise<TestReplicas> {
    const database = await createTestDatabase();
    const client = new pg.Client({ connectionString: database.url });
    client.on('error', () => undefined);
    await client.connect();
    const replicas = new TestReplicas(database, client, { ...QUICK, ...options.settings });
    for (const [index, node] of options.nodes.entries()) {
      replicas.nodes.push(await EmulatedNode.start({ name: `node-${index}`, rateLimit: false, ...node }));
    }
    const first = await replicas.add();
    for (const node of replicas.nodes) replicas.registered.push(await first.register(node.url));
    for (let count = 1; count < options.gateways; count += 1) await replicas.add();
    if (options.nodes.length > 0) await replicas.balanced(options.gateways);
    return replicas;
  }

  get databaseUrl(): string {
    return this.database.url;
  }

  /** The gateway at this index, in order of their starts. */
  gateway(index: number): TestGateway {
    return at(this.gateways, index);
  }

  node(index: number): EmulatedNode {
    return at(this.nodes, index);
  }

  /** Starts one more gateway. */
  async add(settings: Record<string, string> = {}): Promise<TestGateway> {
    const gateway = await TestGateway.start({
      ...this.settings,
      ...settings,
      DATABASE_URL: this.database.url,
    });
    this.gateways.push(gateway);
    return gateway;
  }

  /** Waits until so many replicas hold nodes, none of them more than its share, and have looked at them. */
  async balanced(replicas: number): Promise<number[]> {
    const share = Math.ceil(this.nodes.length / replicas);
    return waitUntil(`${replicas} replicas share the nodes`, async () => {
      const holders = await this.leaseCounts();
      const isEven = holders.length === replicas && holders.every((count) => count <= share);
      const known = await Promise.all(this.gateways.map((gateway) => gateway.nodes().catch(() => [])));
      const areUp = known.every((rows) => rows.every(({ health }) => health === 'up'));
      return isEven && areUp ? holders : undefined;
    });
  }

  /** How many nodes each replica holds that holds any, the most first. */
  async leaseCounts(): Promise<number[]> {
    const { rows } = await this.client.query<{ count: number }>(`
      SELECT count(*)::int AS count FROM nodes WHERE lease_holder IS NOT NULL AND lease_until > now() AND state <> 'removed'
      GROUP BY lease_holder ORDER BY 1 DESC`);
    return rows.map(({ count }) => count);
  }

  /** Ends everything and removes the database. */
  async stop(): Promise<void> {
    await Promise.all(this.gateways.map((gateway) => gateway.stop()));
    await Promise.all(this.nodes.map((node) => node.stop()));
    await this.client.end().catch(() => undefined);
    await this.database.drop();
  }
}
