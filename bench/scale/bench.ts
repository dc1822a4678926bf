import { REFERENCE_LIKE, withInstallation } from '../live/installation.js';
import { median, rounded } from '../numbers.js';
import type { BenchOptions, BenchReport } from '../run.js';
import { atMost, type Target } from '../targets.js';
import { Watched, WATCHED, type Idle } from './watched.js';

/**
 * What a job costs the gateway with 10, 100 and 1,000 nodes, and with up to 100,000 jobs waiting; what it costs to look
 * after the nodes; and what memory all that takes. The nodes of an installation are emulated in one process and behave
 * like the reference node without its rate limits. The load is the same everywhere and small enough that the
 * processor is free for a part of the time; installations take turns. Processor time is that of the gateway's process, less what
 * it uses idle. For what waiting jobs cost, the nodes are hardly faster than the load, with waiting jobs and without.
 */

/** Ten nodes with one slot each do 66 jobs a second. */
const RATE = 60;
const SERVICE = ['--service-ms', '150'];
const NODE = ['--containers', 'delay', ...REFERENCE_LIKE, ...SERVICE];
const EXTENT = {
  full: { nodes: [10, 100, 1_000], queued: [0, 10_000, 100_000], rounds: 3, idleMs: 3_000, loadMs: 6_000 },
  quick: { nodes: [10, 1_000], queued: [0, 100_000], rounds: 2, idleMs: 500, loadMs: 1_800 },
};
const WARM_UP_JOBS = 100;
/**
 * What finished jobs leave behind is seen over `jobs`, twice, once `before` have filled caches; so many are unfinished at
 * once. A heap differs by a megabyte from one collection to another; what is kept shows both times.
 */
const KEPT = { before: 5_000, jobs: 8_000, times: 2, open: 400 };
const MOST_TIMES_THE_COST = 1.3;
/** A string that is an id, in a map or a set, takes more. */
const MOST_BYTES_KEPT = 64;

interface Wanted {
  readonly nodes: number;
  /** Of each node. */
  readonly slots: number;
  /** Jobs that wait all the time. */
  readonly queued: number;
}

interface Side extends Wanted {
  readonly watched: Watched;
  readonly costs: number[];
  readonly idles: Idle[];
  held: { heapBytes: number; rssBytes: number };
}

interface Row extends Wanted {
  readonly cpuUsPerJob: number;
  readonly idleCpuMsPerSecond: number;
  readonly probesPerSecond: number;
  readonly heapMb: number;
  readonly rssMb: number;
}

const MB = 1_048_576;

export async function run({ quick }: BenchOptions): Promise<BenchReport> {
  const extent = quick ? EXTENT.quick : EXTENT.full;
  const wanted = [
    ...extent.nodes.map((nodes) => ({ nodes, slots: 4, queued: 0 })),
    ...extent.queued.map((queued) => ({ nodes: 10, slots: 1, queued })),
  ];
  return withSides(wanted, async (sides) => {
    for (let round = 0; round < extent.rounds; round += 1) {
      for (const side of sides) await measure(side, extent);
    }
    const rows = sides.map(rowOf);
    print(rows);
    const targets = targetsOf(sides);
    // What caches take first, of which there is an end, would count as kept in a short run.
    if (quick) return { rows, targets };
    const keptBytes = rounded(await keptPerJob((sides[0] as Side).watched));
    console.log(`\nkept for each of ${KEPT.jobs} finished jobs: ${keptBytes} bytes`);
    targets.push(atMost('bytes of memory kept for each finished job', keptBytes, MOST_BYTES_KEPT));
    return { rows: [...rows, { ...KEPT, keptBytes }], targets };
  });
}

/** Starts the installations side by side, uses them, and takes them away. */
async function withSides<T>(
  wanted: readonly Wanted[],
  use: (sides: readonly Side[]) => Promise<T>,
): Promise<T> {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const ends: Promise<void>[] = [];
  const ready = wanted.map(
    (one) =>
      new Promise<Side>((resolve, reject) => {
        const held = async (side: Side): Promise<void> => {
          resolve(side);
          await released;
        };
        ends.push(withSide(one, held).catch(reject));
      }),
  );
  try {
    return await use(await Promise.all(ready));
  } finally {
    release();
    await Promise.all(ends);
  }
}

async function withSide(wanted: Wanted, use: (side: Side) => Promise<void>): Promise<void> {
  const { nodes, slots, queued } = wanted;
  const node = ['--count', String(nodes), '--slots', String(slots), ...NODE];
  await withInstallation({ nodes: [node], settings: WATCHED }, async (installation) => {
    const watched = await Watched.open(installation);
    try {
      await watched.finish(WARM_UP_JOBS, WARM_UP_JOBS);
      if (queued > 0) {
        await watched.drain();
        await watched.queue(queued);
      }
      await watched.settled(nodes);
      await use({ ...wanted, watched, costs: [], idles: [], held: await watched.held() });
    } finally {
      await watched.close();
    }
  });
}

async function measure(side: Side, { idleMs, loadMs }: { idleMs: number; loadMs: number }): Promise<void> {
  const { watched, queued } = side;
  const idle = await watched.idle(idleMs);
  if (queued > 0) await watched.resume();
  const { cpuUsPerJob } = await watched.busy(RATE, loadMs, idle);
  if (queued > 0) await watched.drain();
  side.idles.push(idle);
  side.costs.push(cpuUsPerJob);
}

/** What is held when so many more jobs have ended than before, for each of them. */
async function keptPerJob(watched: Watched): Promise<number> {
  const { before, jobs, times, open } = KEPT;
  await watched.finish(before, open);
  let least = Infinity;
  for (let time = 0; time < times; time += 1) {
    const { heapBytes } = await watched.held();
    await watched.finish(jobs, open);
    least = Math.min(least, ((await watched.held()).heapBytes - heapBytes) / jobs);
  }
  return least;
}

/** From round to round, for the machine's mood changes. */
function timesTheCost(one: Side, other: Side): number {
  return median(one.costs.map((cost, round) => (other.costs[round] ?? NaN) / cost));
}

function rowOf({ nodes, slots, queued, costs, idles, held }: Side): Row {
  return {
    nodes,
    slots,
    queued,
    cpuUsPerJob: Math.round(median(costs)),
    idleCpuMsPerSecond: rounded(median(idles.map(({ cpuUsPerSecond }) => cpuUsPerSecond)) / 1_000),
    probesPerSecond: rounded(median(idles.map(({ requestsPerSecond }) => requestsPerSecond))),
    heapMb: rounded(held.heapBytes / MB),
    rssMb: rounded(held.rssBytes / MB),
  };
}

function print(rows: readonly Row[]): void {
  console.log(' nodes    slots   queued   CPU µs/job   idle: CPU ms/s   requests/s    heap MB     RSS MB');
  for (const {
    nodes,
    slots,
    queued,
    cpuUsPerJob,
    idleCpuMsPerSecond,
    probesPerSecond,
    heapMb,
    rssMb,
  } of rows) {
    const cells = [
      String(nodes).padStart(6),
      String(slots).padStart(8),
      String(queued).padStart(8),
      String(cpuUsPerJob).padStart(12),
      idleCpuMsPerSecond.toFixed(1).padStart(16),
      probesPerSecond.toFixed(1).padStart(12),
      heapMb.toFixed(1).padStart(10),
      rssMb.toFixed(1).padStart(10),
    ];
    console.log(cells.join(' '));
  }
}

function targetsOf(sides: readonly Side[]): Target[] {
  const compared = (name: string, one: Partial<Wanted>, other: Partial<Wanted>): Target => {
    const is = (wanted: Partial<Wanted>) => (side: Side) =>
      Object.entries(wanted).every(([key, value]) => side[key as keyof Wanted] === value);
    const ratio = timesTheCost(sides.find(is(one)) as Side, sides.find(is(other)) as Side);
    return atMost(name, ratio, MOST_TIMES_THE_COST);
  };
  return [
    compared('cost per job with 1,000 nodes, times that with 10', { nodes: 10, slots: 4 }, { nodes: 1_000 }),
    compared(
      'cost per job with 100,000 waiting, times that with none',
      { slots: 1, queued: 0 },
      { queued: 100_000 },
    ),
  ];
}
