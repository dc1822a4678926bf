import { createServer } from 'node:net';
import type { Settings } from '../config/settings.js';
import { EmulatedNode } from '../emulator/emulated-node.js';
import { startGateway, type Gateway } from '../gateway.js';
import { Application } from './application.js';

/** How an emulated node of the demo differs from the others. */
export interface Part {
  readonly name: string;
  /** Its service times are divided by it. */
  readonly speed: number;
  /** Jobs that it works on at a time. */
  readonly slots: number;
}

/** An emulated node, registered at the gateway. */
export interface Actor extends Part {
  readonly node: EmulatedNode;
}

/** A gateway and the nodes behind it. */
export interface Stage {
  readonly gateway: Gateway;
  readonly actors: readonly Actor[];
  /** Nodes that are registered besides the demo's own; with a database that others use too. */
  readonly others: number;
  /** Ids of jobs that an interrupted run left unfinished; they are being run now. */
  readonly leftOver: readonly string[];
  stop(): Promise<void>;
}

const CAST: readonly Part[] = [
  { name: 'quick', speed: 4, slots: 4 },
  { name: 'steady', speed: 2, slots: 3 },
  { name: 'slow', speed: 1, slots: 2 },
];

/** Service time at speed 1 in ms: long enough to see that jobs take their time and nodes differ. */
const SERVICE_MS = { echo: 60, 'openai-inference-0.0.1': 1_200 };

/** Marks the demo's own nodes, so that the next run knows which of the registered ones it may remove. */
const LABELS = { demo: 'true' };

/** More ids do not fit into one request for results. */
const MOST_LEFT_OVER = 300;

interface RegisteredNode {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * Starts the gateway and three nodes, and registers them as an operator would.
 * @throws Error when any of it fails; nothing is left running then
 */
export async function setStage(settings: Settings): Promise<Stage> {
  const gateway = await startGateway(settings);
  const actors: Actor[] = [];
  const stop = async (): Promise<void> => {
    await gateway.stop();
    await Promise.all(actors.map(({ node }) => node.stop()));
  };
  try {
    const admin = new Application(gateway.url, { authorization: `Bearer ${gateway.adminToken}` });
    for (const part of CAST) {
      // A node's rate limiter allows 60 jobs a minute; 300 jobs would take the three nodes two minutes.
      const node = await EmulatedNode.start({ ...part, serviceMs: SERVICE_MS, rateLimit: false });
      actors.push({ ...part, node });
    }
    const earlier = await registered(admin);
    for (const { node, name } of actors) {
      await expectStatus(201, admin.call('POST', '/admin/nodes', { url: node.url, name, labels: LABELS }));
    }
    // New nodes first: jobs of an interrupted run move over from the nodes that are gone.
    const gone = earlier.filter(({ labels }) => labels['demo'] === LABELS.demo);
    for (const { id } of gone) await expectStatus(202, admin.call('DELETE', `/admin/nodes/${id}?force=true`));
    const pending = await new Application(gateway.url).ids(true);
    const leftOver = (pending.received as string[]).slice(0, MOST_LEFT_OVER);
    return { gateway, actors, others: earlier.length - gone.length, leftOver, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The wanted port, or 0 for a free one when it is taken. */
export async function portToUse(port: number, host: string): Promise<number> {
  if (port === 0) return 0;
  const isFree = await new Promise<boolean>((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
  return isFree ? port : 0;
}

async function registered(admin: Application): Promise<readonly RegisteredNode[]> {
  const { received } = await expectStatus(200, admin.call('GET', '/admin/nodes'));
  return (received as { nodes: RegisteredNode[] }).nodes;
}

async function expectStatus(
  status: number,
  call: ReturnType<Application['call']>,
): ReturnType<Application['call']> {
  const exchange = await call;
  if (exchange.status === status) return exchange;
  const { method, path, received } = exchange;
  throw new Error(`${method} ${path} was answered ${exchange.status}: ${JSON.stringify(received)}`);
}
