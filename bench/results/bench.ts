import { Child } from '../live/child.js';
import { withInstallation, type Installation } from '../live/installation.js';
import { profileWindow } from '../live/profile-window.js';
import { compared, inTurns, measure, typical, type Side, type WindowOptions } from '../live/windows.js';
import { rounded } from '../numbers.js';
import type { BenchOptions, BenchReport } from '../run.js';
import { atLeast, atMost, printTargets, type Target } from '../targets.js';
import { History, LISTER } from './history.js';

/**
 * What reading results costs: `GET /api/jobs` beside a bare Fastify and pg server that runs the same queries on the same
 * database, with few and with many jobs in the table. Both tables have a gateway and a bare server each, and all four
 * take turns, so that whatever else the machine does meets all of them.
 */
const SMALL = 1_000;
const EXTENT = {
  full: { large: [100_000, 1_000_000], rounds: 5, ms: 600, warmUpMs: 2_000 },
  quick: { large: [100_000], rounds: 3, ms: 250, warmUpMs: 700 },
};
const CONNECTIONS = 8;
/** Different sets of ids, asked for in turn. */
const SETS = 64;

interface Row {
  readonly what: string;
  readonly jobs: number;
  readonly side: string;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuUs: number;
  readonly allocatedBytes: number;
}

/** A gateway and a bare server on one database. */
interface Table {
  readonly history: History;
  readonly gateway: Side;
  readonly bare: Side;
}

export async function run({ quick, profileDir }: BenchOptions): Promise<BenchReport> {
  const extent = quick ? EXTENT.quick : EXTENT.full;
  const rows: Row[] = [];
  const targets: Target[] = [];
  console.log(
    'GET /api/jobs of                jobs in the table   side            req/s   p50 ms   p99 ms   CPU µs/req   kB/req',
  );
  await withTable('1 k', async (small) => {
    await small.history.growTo(SMALL);
    await withTable('large', async (large) => {
      for (const jobs of extent.large) {
        await large.history.growTo(jobs);
        const known = await casesOf(small, large);
        if (jobs === extent.large[0]) await warmUp([small, large], known, extent.warmUpMs);
        for (const ask of known) await compare(ask, { small, large, jobs }, extent, { rows, targets });
      }
      const all = (await casesOf(small, large))[1];
      if (profileDir !== undefined && all !== undefined) {
        await profileWindow(large.gateway, options(all.ofLarge, 5_000), profileDir);
      }
    });
  });
  printTargets(targets);
  return { rows, targets };
}

async function withTable(name: string, use: (table: Table) => Promise<void>): Promise<void> {
  // Lists are asked for in the name of a caller elsewhere.
  await withInstallation(
    { nodes: [], settings: { TRUST_PROXY: 'loopback' } },
    async (installation: Installation) => {
      const history = await History.begin(installation.databaseUrl);
      const bare = await Child.start(
        'bench/results/bare-server.ts',
        [installation.databaseUrl],
        {},
        /(http:\S+)$/,
      );
      try {
        await use({
          history,
          gateway: { name: `gateway, ${name}`, url: installation.url, insight: installation.insight },
          bare: { name: `bare, ${name}`, url: bare.said, insight: bare.insight },
        });
      } finally {
        await bare.stop();
        await history.close();
      }
    },
  );
}

type Request = Pick<WindowOptions, 'path' | 'headers'>;

/** The same question to both tables. */
interface Case {
  readonly what: string;
  readonly ofSmall: Request;
  readonly ofLarge: Request;
  /** What the targets are about. */
  readonly isJudged?: boolean;
}

async function casesOf(small: Table, large: Table): Promise<Case[]> {
  const byIds = async (what: string, state: 'succeeded' | 'queued', ids: number): Promise<Case> => ({
    what,
    ofSmall: { path: await pathsOf(small.history, state, ids) },
    ofLarge: { path: await pathsOf(large.history, state, ids) },
  });
  const list: Request = { path: '/api/jobs', headers: { 'x-forwarded-for': LISTER } };
  return [
    await byIds('1 finished id', 'succeeded', 1),
    { ...(await byIds('100 finished ids', 'succeeded', 100)), isJudged: true },
    await byIds('1 unfinished id', 'queued', 1),
    await byIds('100 unfinished ids', 'queued', 100),
    { what: 'a list of 1,000 ids', ofSmall: list, ofLarge: list },
  ];
}

/** Sets of ids from all over the table; where there are too few for so many sets, sets share ids. */
async function pathsOf(history: History, state: 'succeeded' | 'queued', count: number): Promise<string[]> {
  const ids = await history.sample(state, count * SETS);
  return Array.from({ length: SETS }, (_none, set) => {
    const own = Array.from({ length: count }, (_id, index) => ids[(set * count + index) % ids.length]);
    return `/api/jobs?${own.map((id) => `id=${id}`).join('&')}`;
  });
}

function options(request: Request, ms: number): WindowOptions {
  return { method: 'GET', ...request, jobs: 1, connections: CONNECTIONS, ms };
}

async function warmUp(tables: readonly Table[], cases: readonly Case[], ms: number): Promise<void> {
  for (const { gateway, bare } of tables) {
    for (const side of [gateway, bare]) {
      for (const { ofSmall } of cases) await measure(side, options(ofSmall, ms / 2));
    }
  }
}

async function compare(
  { what, ofSmall, ofLarge, isJudged = false }: Case,
  { small, large, jobs }: { small: Table; large: Table; jobs: number },
  { rounds, ms }: { rounds: number; ms: number },
  { rows, targets }: { rows: Row[]; targets: Target[] },
): Promise<void> {
  const sides = [small, large].flatMap(({ gateway, bare }) => [gateway, bare]);
  const isSmall = (side: Side): boolean => side === small.gateway || side === small.bare;
  const windows = await inTurns(sides, rounds, (side) => options(isSmall(side) ? ofSmall : ofLarge, ms));
  for (const side of sides) {
    const { perSecond, p50Ms, p99Ms, cpuUs = NaN, allocatedBytes = NaN } = typical(windows, side.name);
    const row = {
      what,
      jobs: isSmall(side) ? SMALL : jobs,
      side: side.name.replace(/,.*/, ''),
      perSecond: rounded(perSecond),
      p50Ms: rounded(p50Ms),
      p99Ms: rounded(p99Ms),
      cpuUs: rounded(cpuUs),
      allocatedBytes: rounded(allocatedBytes),
    };
    rows.push(row);
    printRow(row);
  }
  if (!isJudged) return;
  const rate = compared(windows, [large.gateway.name, large.bare.name], (a, b) => a.perSecond / b.perSecond);
  const name = `results, ${what}, ${jobs.toLocaleString('en')} jobs: rate, part of the bare server`;
  targets.push(atLeast(name, rate, 0.6));
  if (jobs < 1_000_000) return;
  const slower = compared(windows, [large.gateway.name, small.gateway.name], (a, b) => a.p50Ms / b.p50Ms);
  const flat = `results, ${what}: time with 1,000,000 jobs, times that with 1,000`;
  targets.push(atMost(flat, slower, 1.3));
}

function printRow({ what, jobs, side, perSecond, p50Ms, p99Ms, cpuUs, allocatedBytes }: Row): void {
  console.log(
    what.padEnd(30) +
      jobs.toLocaleString('en').padStart(19) +
      `   ${side.padEnd(10)}` +
      perSecond.toFixed(0).padStart(11) +
      p50Ms.toFixed(2).padStart(9) +
      p99Ms.toFixed(2).padStart(9) +
      cpuUs.toFixed(0).padStart(13) +
      (allocatedBytes / 1_000).toFixed(1).padStart(9),
  );
}
