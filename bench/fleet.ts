import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Caller, type JobBody } from './live/caller.js';
import { withInstallation, type Installation } from './live/installation.js';
import { rounded } from './numbers.js';
import type { BenchOptions, BenchReport } from './run.js';
import { atMost, type Target } from './targets.js';

/**
 * End to end: how long a burst of jobs takes through a whole gateway, against the least time in which the slots of its
 * nodes could do the work, with each policy. Gateway, database and nodes are processes of their own.
 *
 * Jobs are exponential with a mean of `SERVICE_MS` at speed 1. At that the fleet can do about a hundred jobs a second,
 * well below what the gateway and its database manage on two cores beside the nodes: so the figures are those of the
 * scheduling, not of the processor. The other policies give each node as many jobs, so their slowest node takes minutes;
 * they get a fifth of the jobs, and are judged by the bound for those.
 */
const SERVICE_MS = 150;
const NODES = [
  { slots: 1, speed: 1 },
  { slots: 2, speed: 1 },
  { slots: 4, speed: 1 },
  { slots: 8, speed: 1 },
  { slots: 4, speed: 0.1 },
] as const;
const POLICIES = ['learned', 'least-pending', 'round-robin'] as const;
const MOST_OVER_BOUND = 1.2;
/** How many jobs each policy gets. */
const JOBS = {
  full: { learned: 5_000, 'least-pending': 1_000, 'round-robin': 1_000 },
  quick: { learned: 500, 'least-pending': 0, 'round-robin': 0 },
};
const BATCH = 100;
const POLL_MS = 50;

type PolicyName = (typeof POLICIES)[number];

interface Row {
  readonly policy: PolicyName;
  readonly jobs: number;
  readonly makespanS: number;
  readonly boundS: number;
  readonly overBound: number;
  /** Executions on each node, in the order of `NODES`. */
  readonly executions: readonly number[];
  readonly processorS: number;
}

export async function run({ quick, seed }: BenchOptions): Promise<BenchReport> {
  console.log(
    `Jobs of ${SERVICE_MS} ms on average; nodes: ` +
      NODES.map(
        ({ slots, speed }) => `${slots} slot${slots === 1 ? '' : 's'}${speed === 1 ? '' : ` at ${speed}`}`,
      ).join(', '),
  );
  console.log('\npolicy           jobs  makespan    bound   ratio   executions by node         gateway CPU');
  const rows: Row[] = [];
  for (const policy of POLICIES) {
    const jobs = JOBS[quick ? 'quick' : 'full'][policy];
    if (jobs === 0) continue;
    const row = await measure(policy, jobs, seed);
    rows.push(row);
    const cells = [
      policy.padEnd(14),
      String(jobs).padStart(6),
      `${row.makespanS.toFixed(1)} s`.padStart(9),
      `${row.boundS.toFixed(1)} s`.padStart(8),
      row.overBound.toFixed(2).padStart(7),
      `  ${row.executions.map((count) => String(count).padStart(4)).join(' ')}`,
      `${row.processorS.toFixed(1)} s`.padStart(12),
    ];
    console.log(cells.join(' '));
  }
  return { rows, targets: quick ? [] : [target(rows)] };
}

/** A short burst is mostly learning and tail, so only the full one has a target. */
function target(rows: readonly Row[]): Target {
  const value = rows.find(({ policy }) => policy === 'learned')?.overBound ?? Infinity;
  return atMost('learned: makespan over the bound by slots and speed', value, MOST_OVER_BOUND);
}

function measure(policy: PolicyName, jobs: number, seed: number): Promise<Row> {
  const alike = ['--containers', 'echo', '--rate-limit', 'off', '--service-ms', `exp:${SERVICE_MS}`];
  const nodes = NODES.map(({ slots, speed }, index) =>
    alike.concat('--slots', String(slots), '--speed', String(speed), '--seed', String(seed * 100 + index)),
  );
  return withInstallation({ nodes, settings: { DISPATCH_POLICY: policy } }, async (installation) => {
    const makespanS = (await burst(installation, jobs)) / 1_000;
    const states = await Promise.all(installation.nodes.map((node) => node.state()));
    const speed = NODES.reduce((sum, node) => sum + node.slots * node.speed, 0);
    const boundS = (jobs * SERVICE_MS) / speed / 1_000;
    return {
      policy,
      jobs,
      makespanS: rounded(makespanS),
      boundS: rounded(boundS),
      overBound: rounded(makespanS / boundS),
      executions: states.map(({ executions }) => executions),
      processorS: installation.processorSeconds(),
    };
  });
}

/** @returns from the first submission until the last job has ended, as a caller sees it, in ms */
async function burst({ url }: Installation, jobs: number): Promise<number> {
  const caller = new Caller(url, { keepsConnections: true });
  const startedAt = performance.now();
  for (let first = 0; first < jobs; first += BATCH) {
    const count = Math.min(BATCH, jobs - first);
    await caller.submitBatch(
      Array.from({ length: count }, (_, index): JobBody => ({
        containers: ['echo'],
        data: { n: first + index },
      })),
    );
  }
  while ((await caller.ids('pending')).length > 0) await sleep(POLL_MS);
  const tookMs = performance.now() - startedAt;
  const ended = await caller.ids('ended');
  caller.close();
  if (ended.length !== jobs) throw new Error(`${ended.length} of ${jobs} jobs have ended`);
  return tookMs;
}
