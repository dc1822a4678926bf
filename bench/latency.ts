import { setTimeout as sleep } from 'node:timers/promises';
import { Caller, type JobBody, type Outcome } from './live/caller.js';
import { REFERENCE_LIKE, withInstallation, type LiveNode } from './live/installation.js';
import { median, quantile, rounded } from './numbers.js';
import type { BenchOptions, BenchReport } from './run.js';
import { atMost, type Target } from './targets.js';

/**
 * How soon results are with their callers. Two nodes behave like the reference node, with its stall on reused connections
 * and its cost for each request, but have no rate limits; a node's log tells when it had completed a job.
 *
 * - From the node's completion to the answer of a caller who waits (`Prefer: wait`), for jobs of three lengths, one
 *   caller, and 16 who pause between their jobs: without pauses they would measure how much the machine can do.
 * - From submission to result for a container of 5 ms, beside a caller of the node itself who asks each second.
 */
const NODE = ['--containers', 'delay', ...REFERENCE_LIKE, '--request-cost-ms', '2.5'];
const NODES = 2;
const SHORT_MS = 5;
const LENGTHS_MS = [SHORT_MS, 100, 1_000];
const CALLERS = [
  { callers: 1, thinkMs: 0 },
  { callers: 16, thinkMs: 250 },
];
/** How long callers go on with jobs of one length. */
const SPELL_MS = { full: 20_000, quick: 2_500 };
const WARM_UP_MS = 2_000;
/** Callers who ask the node itself; they mostly sleep, so they go on beside the others. */
const DIRECT = { callers: 10, pauseMs: 1_000 };
const MOST_TO_CALLER_MS = 60;
const MOST_SUBMIT_TO_RESULT_MS = 80;

interface Row {
  readonly what: 'completion to caller' | 'submission to result' | 'submission to result, direct';
  readonly lengthMs: number;
  readonly callers: number;
  readonly jobs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export async function run({ quick }: BenchOptions): Promise<BenchReport> {
  const nodes = Array.from({ length: NODES }, () => NODE);
  const rows = await withInstallation({ nodes }, async (installation) => {
    const gateway = new Caller(installation.url, { keepsConnections: false });
    const direct = new Caller(installation.nodes[0]?.url ?? '', { keepsConnections: false });
    await crowd(gateway, { lengthMs: SHORT_MS, callers: 4, forMs: WARM_UP_MS });
    const forMs = quick ? SPELL_MS.quick : SPELL_MS.full;
    const measured: Row[] = [];
    const keep = (row: Row): void => {
      measured.push(row);
      print(row);
    };
    console.log(`${''.padEnd(30)}container  callers     jobs      p50      p99`);
    for (const lengthMs of LENGTHS_MS) {
      for (const { callers, thinkMs } of CALLERS) {
        const besides =
          lengthMs === SHORT_MS && callers === 1
            ? crowd(direct, { lengthMs, callers: DIRECT.callers, forMs, pauseMs: DIRECT.pauseMs })
            : undefined;
        const outcomes = await crowd(gateway, { lengthMs, callers, thinkMs, forMs });
        const completedAt = await completions(installation.nodes);
        const common = { lengthMs, callers };
        keep(rowOf('completion to caller', common, latenesses(outcomes, completedAt)));
        if (lengthMs === SHORT_MS) keep(rowOf('submission to result', common, took(outcomes)));
        if (besides === undefined) continue;
        const asked = { lengthMs, callers: DIRECT.callers };
        keep(rowOf('submission to result, direct', asked, took(await besides)));
      }
    }
    return measured;
  });
  return { rows, targets: targetsOf(rows) };
}

/** `callers` callers, each one job after the other until the time is up. */
async function crowd(
  caller: Caller,
  load: { lengthMs: number; callers: number; forMs: number; thinkMs?: number; pauseMs?: number },
): Promise<Outcome[]> {
  const job: JobBody = { containers: ['delay'], data: { ms: load.lengthMs } };
  const { thinkMs = 0 } = load;
  const endsAt = performance.now() + load.forMs;
  const outcomes: Outcome[] = [];
  const one = async (index: number): Promise<void> => {
    // Spread, for callers who begin together would go on in step.
    await sleep((index * (load.lengthMs + thinkMs)) / load.callers);
    do {
      outcomes.push(await caller.outcome(job, load.pauseMs));
      await sleep(thinkMs);
    } while (performance.now() < endsAt);
  };
  await Promise.all(Array.from({ length: load.callers }, (_none, index) => one(index)));
  const failed = outcomes.find(({ succeeded }) => !succeeded);
  if (failed !== undefined) throw new Error(`the job ${failed.id} failed`);
  return outcomes;
}

/** When the nodes had completed each job, in ms since 1970. */
async function completions(nodes: readonly LiveNode[]): Promise<Map<string, number>> {
  const all = await Promise.all(nodes.map((node) => node.executions()));
  return new Map(all.flat().map(({ jobId, finishedAt }) => [jobId, finishedAt ?? NaN]));
}

/** For each job how long after the node's completion its caller had the result, in ms. */
export function latenesses(
  outcomes: readonly Pick<Outcome, 'id' | 'atMs'>[],
  completedAt: ReadonlyMap<string, number>,
): number[] {
  return outcomes.map(({ id, atMs }) => {
    const at = completedAt.get(id);
    if (at === undefined) throw new Error(`no node says that it completed the job ${id}`);
    return atMs - at;
  });
}

function took(outcomes: readonly Outcome[]): number[] {
  return outcomes.map(({ tookMs }) => tookMs);
}

function rowOf(what: Row['what'], load: Pick<Row, 'lengthMs' | 'callers'>, ms: readonly number[]): Row {
  const figures = { jobs: ms.length, p50Ms: rounded(median(ms)), p99Ms: rounded(quantile(ms, 0.99)) };
  return { what, ...load, ...figures };
}

function print({ what, lengthMs, callers, jobs, p50Ms, p99Ms }: Row): void {
  const cells = [`${lengthMs} ms`.padStart(9), String(callers).padStart(8), String(jobs).padStart(8)];
  console.log(
    `${what.padEnd(30)}${cells.join(' ')} ${p50Ms.toFixed(1).padStart(8)} ${p99Ms.toFixed(1).padStart(8)}`,
  );
}

/** Of each figure the worst p50 among the lengths and numbers of callers. */
function targetsOf(rows: readonly Row[]): Target[] {
  const worst = (what: Row['what']): number =>
    Math.max(...rows.filter((row) => row.what === what).map(({ p50Ms }) => p50Ms));
  return [
    atMost(
      'node completion to waiting caller, worst p50 (ms)',
      worst('completion to caller'),
      MOST_TO_CALLER_MS,
    ),
    atMost(
      `submission to result of a ${SHORT_MS} ms container, worst p50 (ms)`,
      worst('submission to result'),
      MOST_SUBMIT_TO_RESULT_MS,
    ),
  ];
}
