import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PostgresServer } from '../../src/persistence/postgres-server.js';
import { Child } from './child.js';
import type { Insight } from './insight.js';

/** On a node's command line: the reference node's way with reused connections, without its rate limits. */
export const REFERENCE_LIKE = ['--rate-limit', 'off', '--stall-reused-ms', '44'] as const;

/** An emulated node, in another process. */
export interface LiveNode {
  readonly url: string;
  /** What it counted since its start. */
  state(): Promise<NodeCounts>;
  /** What its containers have done since its start. */
  executions(): Promise<readonly Execution[]>;
}

/** One job on an emulated node. */
export interface Execution {
  readonly jobId: string;
  /** When the node had its result, in ms since 1970; null while it runs. */
  readonly finishedAt: number | null;
}

export interface NodeCounts {
  readonly executions: number;
  readonly pending: number;
  /** Replies by status. */
  readonly replies: Readonly<Record<string, number>>;
}

/** A gateway with its nodes, each a process, and a database of its own in a temporary folder. */
export interface Installation {
  readonly url: string;
  readonly nodes: readonly LiveNode[];
  /** Processor time that the gateway has used so far, its database not counted, in s; NaN if unknown. */
  processorSeconds(): number;
  /** The view into the gateway's process. */
  readonly insight: Insight;
  /** The gateway's database, to connect to beside it. */
  readonly databaseUrl: string;
}

export interface InstallationOptions {
  /** For each process of nodes, one node unless `--count` says more, its command line (`npm run emulator -- --help`). */
  readonly nodes: readonly (readonly string[])[];
  /** URLs of further nodes, which run already and stay. */
  readonly others?: readonly string[];
  /** Settings of the gateway. The database is always the embedded one, as it comes: fsync on. */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * Starts an installation, uses it, and takes everything away again, also after a failure or on SIGINT.
 * @throws Error when a part does not start; whatever `use` throws
 */
export async function withInstallation<T>(
  { nodes, others = [], settings = {} }: InstallationOptions,
  use: (installation: Installation) => Promise<T>,
): Promise<T> {
  const dataDir = await mkdtemp(join(tmpdir(), 'infernet-gateway-bench-'));
  const started: Child[] = [];
  let ending: Promise<void> | undefined;
  const end = (): Promise<void> => (ending ??= takeAway(started, dataDir));
  const interrupted = (): void => void end().finally(() => process.exit(130));
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  try {
    for (const args of nodes) {
      const given = ['--port', '0', ...args];
      started.push(await Child.start('dist/emulator/main.js', given, {}, /(http:\S+)$/, countOf(args)));
    }
    const urls = started.flatMap(({ allSaid }) => allSaid);
    const environment = {
      HOST: '127.0.0.1',
      PORT: '0',
      LOG_LEVEL: 'error',
      DATA_DIR: dataDir,
      NODES: [...urls, ...others].join(','),
      ...settings,
    };
    const gateway = await Child.start('dist/main.js', [], environment, /gateway listens on (\S+)/);
    started.push(gateway);
    return await use({
      url: gateway.said,
      nodes: urls.map(liveNode),
      processorSeconds: () => gateway.processorSeconds(),
      insight: gateway.insight,
      databaseUrl: await databaseUrl(dataDir),
    });
  } finally {
    process.off('SIGINT', interrupted);
    process.off('SIGTERM', interrupted);
    await end();
  }
}

function countOf(args: readonly string[]): number {
  const at = args.indexOf('--count');
  return at === -1 ? 1 : Number(args[at + 1]);
}

async function databaseUrl(dataDir: string): Promise<string> {
  const server = await PostgresServer.open(join(dataDir, 'postgres'));
  const running = await server.running();
  if (running === undefined) throw new Error('the embedded database does not run');
  return server.url(running.port, 'gateway');
}

/** The gateway first: it stops its database, and its nodes should not vanish before it. */
async function takeAway(started: readonly Child[], dataDir: string): Promise<void> {
  for (const child of started.toReversed()) await child.stop();
  await rm(dataDir, { recursive: true, force: true });
}

function liveNode(url: string): LiveNode {
  return {
    url,
    state: () => told<NodeCounts>(`${url}/__emulator/state`),
    executions: () => told<Execution[]>(`${url}/__emulator/executions`),
  };
}

async function told<T>(url: string): Promise<T> {
  const reply = await fetch(url);
  return (await reply.json()) as T;
}
