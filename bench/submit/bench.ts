import pg from 'pg';
import { Child } from '../live/child.js';
import { withInstallation, type Installation } from '../live/installation.js';
import { median, rounded } from '../numbers.js';
import type { BenchOptions, BenchReport } from '../run.js';
import { atLeast, atMost, printTargets, type Target } from '../targets.js';
import { Nginx } from './nginx.js';
import { PostgresAlone } from './postgres-alone.js';
import { profileWindow } from '../live/profile-window.js';
import {
  compared,
  inTurns,
  measure,
  typical,
  type Side,
  type Window,
  type WindowOptions,
} from '../live/windows.js';

/**
 * What durable submission costs: `POST /api/jobs`, each job committed before it is sent, beside the same requests to the
 * node itself, through nginx and through the least that Fastify and undici can do, which keep nothing. Each side is a
 * process of its own, the load comes from this one. A job counts if it has also ended within 10 s of the end.
 */
const CONNECTIONS = [1, 32, 256] as const;
const BATCH = { jobs: 100, connections: 4 };
/** Processor time of each request in the reference node, in ms (docs/protocol.md §8). */
const REQUEST_COST_MS = 2.5;
const JOB = JSON.stringify({ containers: ['echo'], data: { prompt: 'how do I make pizza? '.repeat(7) } });
const EXTENT = {
  full: { rounds: 5, ms: 1_500, warmUpMs: 4_000 },
  quick: { rounds: 3, ms: 500, warmUpMs: 1_200 },
};

type Extent = (typeof EXTENT)['full'];

export interface Row {
  readonly what: string;
  readonly side: string;
  readonly perSecond: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly cpuUs?: number;
  readonly allocatedBytes?: number;
  readonly unfinished: number;
}

interface Findings {
  readonly rows: Row[];
  readonly targets: Target[];
}

export async function run({ quick, profileDir }: BenchOptions): Promise<BenchReport> {
  const extent = quick ? EXTENT.quick : EXTENT.full;
  const findings: Findings = { rows: [], targets: [] };
  const stub = await Child.start('bench/submit/stub-node.ts', [], {}, /(http:\S+)$/);
  try {
    await withInstallation({ nodes: [], others: [stub.said] }, (installation) =>
      besideProxies(installation, stub.said, extent, findings, profileDir),
    );
  } finally {
    await stub.stop();
  }
  const costly = [
    '--containers',
    'echo',
    '--rate-limit',
    'off',
    '--request-cost-ms',
    String(REQUEST_COST_MS),
  ];
  await withInstallation({ nodes: [costly] }, (installation) => atCost(installation, extent, findings));
  print(findings);
  return findings;
}

async function besideProxies(
  installation: Installation,
  node: string,
  extent: Extent,
  findings: Findings,
  profileDir: string | undefined,
): Promise<void> {
  const database = new pg.Client({ connectionString: installation.databaseUrl });
  await database.connect();
  const proxy = await Child.start('bench/submit/bare-proxy.ts', [node], {}, /(http:\S+)$/);
  const program = Nginx.installed();
  if (program === undefined) console.log('nginx is not installed and left out');
  const nginx = program === undefined ? undefined : await Nginx.start(program, node);
  const gateway: Side = { name: 'gateway', url: installation.url, insight: installation.insight, database };
  const sides: Side[] = [
    { name: 'direct', url: node },
    ...(nginx === undefined ? [] : [{ name: 'nginx', url: nginx.url }]),
    { name: 'bare proxy', url: proxy.said, insight: proxy.insight },
    gateway,
  ];
  try {
    for (const side of sides) await measure(side, singles(32, extent.warmUpMs));
    for (const connections of CONNECTIONS) {
      const windows = await inTurns(sides, extent.rounds, singles(connections, extent.ms));
      record(findings, `${connections} connection${connections === 1 ? '' : 's'}`, sides, windows);
      judge(findings, connections, windows);
    }
    await batches(gateway, installation.databaseUrl, extent, findings);
    if (profileDir !== undefined) await profileWindow(gateway, singles(32, 5_000), profileDir);
  } finally {
    await nginx?.stop();
    await proxy.stop();
    await database.end();
  }
}

function singles(connections: number, ms: number): WindowOptions {
  return { path: '/api/jobs', body: JOB, jobs: 1, connections, ms };
}

function judge({ targets }: Findings, connections: number, windows: readonly Window[]): void {
  const beside = ['gateway', 'bare proxy'] as const;
  if (connections === 1) {
    const addedMs = compared(
      windows,
      ['gateway', 'direct'],
      (gateway, direct) => gateway.p50Ms - direct.p50Ms,
    );
    targets.push(atMost('submit, 1 connection: p50 over direct (ms)', addedMs, 5));
  }
  if (connections === 32) {
    const rate = compared(windows, beside, (gateway, proxy) => gateway.perSecond / proxy.perSecond);
    const late = compared(windows, beside, (gateway, proxy) => gateway.p99Ms / proxy.p99Ms);
    targets.push(atLeast('submit, 32 connections: rate, part of the bare proxy', rate, 0.45));
    targets.push(atMost('submit, 32 connections: p99, times the bare proxy', late, 1.5));
  }
}

/** Batches of 100, beside the same rows inserted by nobody but a database client. */
async function batches(gateway: Side, url: string, extent: Extent, findings: Findings): Promise<void> {
  const body = `[${Array.from({ length: BATCH.jobs }, () => JOB).join(',')}]`;
  const options = { path: '/api/jobs/batch', body, ...BATCH, ms: extent.ms };
  const alone = await PostgresAlone.connect(url, BATCH.connections);
  try {
    await measure(gateway, options);
    await alone.measure(JOB, BATCH.jobs, extent.ms);
    const windows: Window[] = [];
    const rates: number[] = [];
    const ratios: number[] = [];
    for (let round = 0; round < extent.rounds; round += 1) {
      const rate = await alone.measure(JOB, BATCH.jobs, extent.ms);
      const window = await measure(gateway, options);
      windows.push(window);
      rates.push(rate);
      ratios.push(window.perSecond / rate);
    }
    const what = `batches of ${BATCH.jobs}, ${BATCH.connections} connections`;
    record(findings, what, [gateway], windows);
    findings.rows.push({ what, side: 'PostgreSQL alone', perSecond: rounded(median(rates)), unfinished: 0 });
    findings.targets.push(atLeast('batch of 100: rate, part of PostgreSQL alone', median(ratios), 0.5));
  } finally {
    await alone.close();
  }
}

/** Where each request costs a node processor time, batching saves most of it. */
async function atCost(installation: Installation, extent: Extent, findings: Findings): Promise<void> {
  const database = new pg.Client({ connectionString: installation.databaseUrl });
  await database.connect();
  try {
    const direct = { name: 'direct', url: installation.nodes[0]?.url ?? '' };
    const gateway = { name: 'gateway', url: installation.url, insight: installation.insight, database };
    const sides: Side[] = [direct, gateway];
    for (const side of sides) await measure(side, singles(32, extent.warmUpMs));
    const windows = await inTurns(sides, extent.rounds, singles(32, extent.ms));
    record(findings, `32 connections, ${REQUEST_COST_MS} ms of node`, sides, windows);
    const rate = compared(
      windows,
      ['gateway', 'direct'],
      (first, second) => first.perSecond / second.perSecond,
    );
    findings.targets.push(atLeast(`${REQUEST_COST_MS} ms a request: rate, times direct`, rate, 1.8));
  } finally {
    await database.end();
  }
}

function record({ rows }: Findings, what: string, sides: readonly Side[], windows: readonly Window[]): void {
  for (const { name } of sides) {
    const { perSecond, p50Ms, p99Ms, cpuUs, allocatedBytes, unfinished } = typical(windows, name);
    rows.push({
      what,
      side: name,
      perSecond: rounded(perSecond),
      p50Ms: rounded(p50Ms),
      p99Ms: rounded(p99Ms),
      ...(cpuUs !== undefined && { cpuUs: rounded(cpuUs), allocatedBytes: rounded(allocatedBytes ?? NaN) }),
      unfinished,
    });
  }
}

function print({ rows, targets }: Findings): void {
  const cell = (value: number | undefined, digits: number, width: number): string =>
    (value === undefined ? '' : value.toFixed(digits)).padStart(width);
  console.log(
    '\nPOST of one job or a batch            side                 jobs/s   p50 ms   p99 ms   CPU µs/job   kB/job   unfinished',
  );
  let last = '';
  for (const { what, side, perSecond, p50Ms, p99Ms, cpuUs, allocatedBytes, unfinished } of rows) {
    console.log(
      (what === last ? '' : what).padEnd(38) +
        side.padEnd(18) +
        cell(perSecond, 0, 9) +
        cell(p50Ms, 2, 9) +
        cell(p99Ms, 2, 9) +
        cell(cpuUs, 0, 13) +
        cell(allocatedBytes === undefined ? undefined : allocatedBytes / 1_000, 1, 9) +
        cell(unfinished === 0 ? undefined : unfinished, 0, 13),
    );
    last = what;
  }
  printTargets(targets);
}
