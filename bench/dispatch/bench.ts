import type { BenchOptions, BenchReport } from '../run.js';
import { atLeast, atMost, type Target } from '../targets.js';
import { writeCharts } from './charts.js';
import { decisionCost } from './decision-cost.js';
import {
  Direct,
  leastPendingRule,
  randomRule,
  roundRobinRule,
  routerRule,
  twoChoicesRule,
} from './direct.js';
import { Gateway } from './gateway.js';
import { learningOf } from './learning.js';
import { Omniscient } from './omniscient.js';
import { PollingGateway } from './polling-gateway.js';
import { Replicas } from './replicas.js';
import { BURST, HOLE, ROWS, steady, type Row } from './scenarios.js';
import { World, type Balancer, type Outcome, type Scenario } from './world.js';

type MakeBalancer = (world: World) => Balancer;

const SETUPS: Record<Row['setup'], MakeBalancer> = {
  gateway: (world) => new Gateway(world),
  replicas: (world) => new Replicas(world),
  polling: (world) => new PollingGateway(world),
};
const REFERENCES: Record<Row['against'], MakeBalancer> = {
  omniscient: (world) => new Omniscient(world),
  'least-pending': (world) => new Direct(world, leastPendingRule),
};

/** What the gateway is compared with where the load is 0.9 and in the burst. */
const OTHERS: Readonly<Record<string, MakeBalancer>> = {
  random: (world) => new Direct(world, randomRule),
  'round robin': (world) => new Direct(world, roundRobinRule()),
  'router, 30 s': (world) => new Direct(world, routerRule(30_000)),
  'router, 5 s': (world) => new Direct(world, routerRule(5_000)),
  'two choices': (world) => new Direct(world, twoChoicesRule),
  'least pending': (world) => new Direct(world, leastPendingRule),
  'router, fresh': (world) => new Direct(world, routerRule(0)),
};
const COMPARED = ['exponential', 'lognormal', 'bimodal'] as const;
const DECISION_US = 20;

/** Outcomes of one balancer, one for each seed. */
type Outcomes = readonly Outcome[];

export function run({ quick, seed }: BenchOptions): BenchReport {
  const seeds = quick ? [seed] : [seed, seed + 1, seed + 2];
  const cache = new Map<string, Outcomes>();
  const outcomesOf = (scenario: Scenario, name: string, make: MakeBalancer): Outcomes => {
    const key = `${scenario.name} ${scenario.discipline} ${name}`;
    const known = cache.get(key) ?? seeds.map((one) => new World(scenario, one).run(make));
    cache.set(key, known);
    return known;
  };
  const targets: Target[] = [];

  const rows = ROWS.map((row) => {
    const { scenario, setup, against } = row;
    const ours = outcomesOf(scenario, setup, SETUPS[setup]);
    const reference = outcomesOf(scenario, against, REFERENCES[against]);
    const measured = measure(row, ours, reference);
    for (const what of ['mean', 'p99', 'makespan'] as const) {
      const target = row[what];
      if (target !== undefined) targets.push(atMost(`${scenario.name}: ${what}`, measured[what], target));
    }
    targets.push(atMost(`${scenario.name}: jobs lost`, measured.lost, 0));
    if (setup === 'polling')
      targets.push(atMost(`${scenario.name}: requests over the limit`, measured.overLimit, 0));
    if (scenario === BURST)
      targets.push(atMost(`${scenario.name}: over 180 s on a node`, measured.tooLong, 0));
    return measured;
  });
  printRows(rows);

  const comparisons = COMPARED.flatMap((law) => {
    const scenario = steady(law, 0.9);
    const bound = outcomesOf(scenario, 'omniscient', REFERENCES.omniscient);
    const ours = outcomesOf(scenario, 'gateway', SETUPS.gateway);
    const compare = (policy: string, outcomes: Outcomes) => ({
      law,
      policy,
      mean: round(median(ratios(outcomes, bound, 'meanMs'))),
      p99: round(median(ratios(outcomes, bound, 'p99Ms'))),
    });
    const others = Object.entries(OTHERS).map(
      ([name, make]) => [name, outcomesOf(scenario, name, make)] as const,
    );
    for (const [name, outcomes] of others) {
      const better = median(ratios(outcomes, ours, 'p99Ms'));
      if (name === 'router, 30 s')
        targets.push(atLeast(`${law} 0.9: p99 better than the router's by`, better, 60));
      if (name === 'least pending')
        targets.push(atLeast(`${law} 0.9: p99 better than least pending by`, better, 1.3));
    }
    return [...others.map(([name, outcomes]) => compare(name, outcomes)), compare('gateway', ours)];
  });
  printComparisons(comparisons);

  const bursts = [...Object.entries(OTHERS), ['gateway', SETUPS.gateway] as const].map(([policy, make]) => {
    const outcomes = outcomesOf(BURST, policy, make);
    return {
      policy,
      makespanS: round(median(outcomes.map(({ makespanMs }) => makespanMs / 1_000))),
      tooLongShare: round(median(outcomes.map(({ tooLong }) => tooLong / BURST.jobs))),
    };
  });
  const boundS = median(
    outcomesOf(BURST, 'omniscient', REFERENCES.omniscient).map(({ makespanMs }) => makespanMs / 1_000),
  );
  bursts.push({ policy: 'omniscient bound', makespanS: round(boundS), tooLongShare: 0 });
  console.log('\nBurst of 10,000 jobs          makespan   over 180 s on a node, so lost');
  for (const { policy, makespanS, tooLongShare } of bursts) {
    const share = `${(tooLongShare * 100).toFixed(0)} %`;
    console.log(`  ${policy.padEnd(24)} ${`${makespanS.toFixed(0)} s`.padStart(11)} ${share.padStart(8)}`);
  }
  const lostByOthers = outcomesOf(HOLE, 'least pending', OTHERS['least pending'] as MakeBalancer);
  const lostShare = median(lostByOthers.map(({ lost }) => lost / HOLE.jobs));
  console.log(
    `\nA black hole costs least pending, without retries, ${(lostShare * 100).toFixed(0)} % of all jobs.`,
  );

  const cost = decisionCost(seed);
  targets.push(
    atMost('a decision with 1,000 nodes and 10,000 jobs held: median µs', cost.medianUs, DECISION_US),
  );
  console.log(
    `\nA decision with 1,000 nodes and 10,000 jobs held: median ${cost.medianUs.toFixed(1)} µs, p99 ${cost.p99Us.toFixed(1)} µs`,
  );

  // The charts belong to the full run; a first look does not replace them.
  if (!quick) writeCharts({ comparisons, bursts, learning: learningOf(seed) });
  return { rows: [...rows, ...comparisons, ...bursts, { decision: cost }], targets };
}

interface Measured {
  readonly scenario: string;
  readonly against: string;
  readonly mean: number;
  readonly p99: number;
  readonly makespan: number;
  readonly lost: number;
  readonly tooLong: number;
  readonly overLimit: number;
  readonly meanTarget: number | undefined;
  readonly p99Target: number | undefined;
  readonly ok: boolean;
}

/** Medians over the seeds; what must not happen at all is counted over all of them. */
function measure(row: Row, ours: Outcomes, reference: Outcomes): Measured {
  const mean = median(ratios(ours, reference, 'meanMs'));
  const p99 = median(ratios(ours, reference, 'p99Ms'));
  const makespan = median(ratios(ours, reference, 'makespanMs'));
  const total = (what: 'lost' | 'tooLong' | 'overLimit'): number =>
    ours.reduce((sum, outcome) => sum + outcome[what], 0);
  const within = mean <= (row.mean ?? Infinity) && p99 <= (row.p99 ?? Infinity);
  return {
    scenario: row.scenario.name,
    against: row.against,
    mean: round(mean),
    p99: round(p99),
    makespan: round(makespan),
    lost: total('lost'),
    tooLong: total('tooLong'),
    overLimit: total('overLimit'),
    meanTarget: row.mean,
    p99Target: row.p99,
    ok: within && makespan <= (row.makespan ?? Infinity) && total('lost') + total('overLimit') === 0,
  };
}

function ratios(ours: Outcomes, reference: Outcomes, what: 'meanMs' | 'p99Ms' | 'makespanMs'): number[] {
  return ours.map((outcome, index) => outcome[what] / (reference[index] as Outcome)[what]);
}

function printRows(rows: readonly Measured[]): void {
  console.log('As multiples of the omniscient bound, or of least pending (lp); targets in brackets\n');
  console.log(`${'scenario'.padEnd(34)} ${'mean'.padStart(14)} ${'p99'.padStart(14)}  makespan  lost  ok`);
  for (const { scenario, against, mean, p99, makespan, lost, meanTarget, p99Target, ok } of rows) {
    const name = against === 'omniscient' ? scenario : `${scenario} (lp)`;
    const cells = [withTarget(mean, meanTarget), withTarget(p99, p99Target), makespan.toFixed(2).padStart(9)];
    console.log(`${name.padEnd(34)} ${cells.join(' ')} ${String(lost).padStart(5)}  ${ok ? 'yes' : 'NO'}`);
  }
}

function withTarget(value: number, target: number | undefined): string {
  return `${value.toFixed(2)} ${target === undefined ? '      ' : `(${target.toFixed(2)})`}`.padStart(14);
}

function printComparisons(rows: readonly { law: string; policy: string; mean: number; p99: number }[]): void {
  console.log('\nOther policies at utilisation 0.9, mean and p99 as multiples of the bound\n');
  console.log(`  ${''.padEnd(16)}${COMPARED.map((law) => law.padStart(18)).join('')}`);
  for (const policy of [...Object.keys(OTHERS), 'gateway']) {
    const cells = COMPARED.map((law) => {
      const row = rows.find((one) => one.law === law && one.policy === policy);
      return `${row?.mean.toFixed(2)}, ${row?.p99.toFixed(2)}`.padStart(18);
    });
    console.log(`  ${policy.padEnd(16)}${cells.join('')}`);
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] as number;
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
