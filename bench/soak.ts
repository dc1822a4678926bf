import { performance } from 'node:perf_hooks';
import pg from 'pg';
import { Caller, type Outcome } from './live/caller.js';
import { REFERENCE_LIKE, withInstallation, type Installation } from './live/installation.js';
import { paced } from './live/paced.js';
import { mean, median, quantile, rounded } from './numbers.js';
import type { BenchOptions, BenchReport } from './run.js';
import { atMost, type Target } from './targets.js';

/**
 * Whether the gateway stays as it is: steady load for minutes, at 60 % of what the installation was found to be able to do
 * just before. Each job is handed in alone, and its caller waits for the result. `RETENTION` is so short that jobs are
 * deleted all the time from the second minute on, so the tables should stay as they are too.
 *
 * What grows shows between the middle third and the last one; the first third is for caches and the heap to fill.
 */
const NODE = ['--containers', 'delay', ...REFERENCE_LIKE, '--slots', '16'];
const NODES = 3;
const JOB = { containers: ['delay'], data: { ms: 50, prompt: 'how do I make pizza? '.repeat(20) } };
const SHARE_OF_CAPACITY = 0.6;
const CALLERS = 32;
const EXTENT = {
  full: { warmUpMs: 10_000, capacityMs: 20_000, minutes: 15, sampleMs: 5_000 },
  quick: { warmUpMs: 1_500, capacityMs: 3_000, minutes: 1 / 6, sampleMs: 1_000 },
};
/** The shortest run in which deletion starts early enough to be judged. */
const LEAST_MINUTES = 6;
const RETENTION = '60s';
const MB = 1_048_576;
const TABLES = ['jobs', 'attempts', 'job_results', 'job_requests'];

export interface Sample {
  /** Since the load began, in s. */
  readonly atS: number;
  readonly rssMb: number;
  readonly heapMb: number;
  /** How late the event loop was, the 99th percentile of the time since the sample before, in ms. */
  readonly delayP99Ms: number;
  readonly sockets: number;
  /** In the tables of jobs, indices included. */
  readonly tablesMb: number;
  readonly jobRows: number;
  /** From submission to result, of the jobs that ended since the sample before, in ms. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

type Figure = Exclude<keyof Sample, 'atS'>;

export async function run({ quick, minutes }: BenchOptions): Promise<BenchReport> {
  const extent = quick ? EXTENT.quick : EXTENT.full;
  const nodes = Array.from({ length: NODES }, () => NODE);
  return withInstallation({ nodes, settings: { RETENTION } }, async (installation) => {
    const caller = new Caller(installation.url, { keepsConnections: true });
    const database = new pg.Client({ connectionString: installation.databaseUrl });
    await database.connect();
    try {
      await closed(caller, extent.warmUpMs);
      const capacity = await closed(caller, extent.capacityMs);
      const perSecond = Math.max(1, Math.floor(capacity * SHARE_OF_CAPACITY));
      console.log(`capacity ${capacity.toFixed(0)} jobs/s; load ${perSecond} jobs/s\n`);
      const forMs = (minutes ?? extent.minutes) * 60_000;
      const load = { perSecond, forMs, sampleMs: extent.sampleMs };
      const { samples, jobs, failed } = await steady(installation, caller, database, load);
      const targets = [
        atMost('jobs without success', failed, 0),
        ...(forMs >= LEAST_MINUTES * 60_000 ? growthTargets(samples) : []),
      ];
      return { rows: [{ capacity: rounded(capacity), perSecond, jobs, failed }, ...samples], targets };
    } finally {
      caller.close();
      await database.end();
    }
  });
}

/** `CALLERS` callers, each one job after the other. @returns jobs a second */
async function closed(caller: Caller, forMs: number): Promise<number> {
  const startedAt = performance.now();
  let jobs = 0;
  const one = async (): Promise<void> => {
    while (performance.now() - startedAt < forMs) {
      await caller.outcome(JOB);
      jobs += 1;
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, one));
  return (jobs * 1_000) / (performance.now() - startedAt);
}

async function steady(
  installation: Installation,
  caller: Caller,
  database: pg.Client,
  { perSecond, forMs, sampleMs }: { perSecond: number; forMs: number; sampleMs: number },
): Promise<{ samples: Sample[]; jobs: number; failed: number }> {
  const samples: Sample[] = [];
  let ended: Outcome[] = [];
  let failed = 0;
  const startedAt = performance.now();
  // The first look starts the counting.
  await installation.insight.look();
  console.log('    s   RSS MB  heap MB  delay p99   sockets   tables MB     jobs      p50      p99');
  const sample = async (): Promise<void> => {
    const outcomes = ended;
    ended = [];
    const atS = Math.round((performance.now() - startedAt) / 1_000);
    const one = {
      atS,
      ...(await insideOf(installation)),
      ...(await sizesOf(database)),
      ...latencyOf(outcomes),
    };
    samples.push(one);
    print(one);
  };
  let sampling = Promise.resolve();
  let problem: Error | undefined;
  const timer = setInterval(() => {
    sampling = sampling.then(sample).catch((error: unknown) => {
      problem ??= error instanceof Error ? error : new Error(String(error));
    });
  }, sampleMs);
  try {
    const jobs = await paced(perSecond, forMs, async () => {
      const outcome = await caller.outcome(JOB);
      ended.push(outcome);
      if (!outcome.succeeded) failed += 1;
    });
    return { samples, jobs, failed };
  } finally {
    clearInterval(timer);
    await sampling;
    throwIfAny(problem);
  }
}

function throwIfAny(problem: Error | undefined): void {
  if (problem !== undefined) throw problem;
}

async function insideOf({
  insight,
}: Installation): Promise<Pick<Sample, 'rssMb' | 'heapMb' | 'delayP99Ms' | 'sockets'>> {
  const { rssBytes, heapUsedBytes, delayMs, sockets } = await insight.look();
  return {
    rssMb: rounded(rssBytes / MB),
    heapMb: rounded(heapUsedBytes / MB),
    delayP99Ms: rounded(delayMs.p99),
    sockets,
  };
}

async function sizesOf(database: pg.Client): Promise<Pick<Sample, 'tablesMb' | 'jobRows'>> {
  const { rows } = await database.query<{ bytes: string; jobs: string }>(
    `SELECT (SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest($1::text[]) AS name) AS bytes,
            (SELECT count(*) FROM jobs) AS jobs`,
    [TABLES],
  );
  return { tablesMb: rounded(Number(rows[0]?.bytes) / MB), jobRows: Number(rows[0]?.jobs) };
}

function latencyOf(outcomes: readonly Outcome[]): Pick<Sample, 'p50Ms' | 'p99Ms'> {
  if (outcomes.length === 0) return { p50Ms: NaN, p99Ms: NaN };
  const took = outcomes.map(({ tookMs }) => tookMs);
  return { p50Ms: rounded(median(took)), p99Ms: rounded(quantile(took, 0.99)) };
}

function print({ atS, rssMb, heapMb, delayP99Ms, sockets, tablesMb, jobRows, p50Ms, p99Ms }: Sample): void {
  const cells = [
    String(atS).padStart(5),
    rssMb.toFixed(1).padStart(8),
    heapMb.toFixed(1).padStart(8),
    delayP99Ms.toFixed(1).padStart(10),
    String(sockets).padStart(9),
    tablesMb.toFixed(1).padStart(11),
    String(jobRows).padStart(8),
    p50Ms.toFixed(1).padStart(8),
    p99Ms.toFixed(1).padStart(8),
  ];
  console.log(cells.join(' '));
}

/** The mean of a figure in the last third, as a multiple of that in the middle third. */
export function growth(samples: readonly Sample[], figure: Figure): number {
  const third = Math.floor(samples.length / 3);
  const values = samples.map((sample) => sample[figure]);
  return mean(values.slice(-third)) / mean(values.slice(-2 * third, -third));
}

/** What of each third of it may grow, and how much for chance. */
function growthTargets(samples: readonly Sample[]): Target[] {
  const most = (name: string, figure: Figure, target: number): Target => {
    return atMost(`${name}, last third over the middle one`, growth(samples, figure), target);
  };
  return [
    most('RSS', 'rssMb', 1.05),
    most('delay of the event loop, p99', 'delayP99Ms', 1.1),
    most('submission to result, p99', 'p99Ms', 1.1),
    most('open sockets', 'sockets', 1.1),
    most('rows of jobs', 'jobRows', 1.1),
    most('size of the tables', 'tablesMb', 1.1),
  ];
}
