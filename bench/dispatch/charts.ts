import { mkdirSync, writeFileSync } from 'node:fs';
import type { Learning } from './learning.js';
import { barChart, stepChart } from './svg.js';

/** What the charts show. */
export interface ChartData {
  readonly comparisons: readonly { readonly law: string; readonly policy: string; readonly p99: number }[];
  readonly bursts: readonly {
    readonly policy: string;
    readonly makespanS: number;
    readonly tooLongShare: number;
  }[];
  readonly learning: readonly Learning[];
}

const FOLDER = new URL('../../docs/charts/', import.meta.url);

/** Writes the charts of docs and README. The same seed gives the same files. */
export function writeCharts({ comparisons, bursts, learning }: ChartData): void {
  mkdirSync(FOLDER, { recursive: true });
  const laws = [...new Set(comparisons.map(({ law }) => law))];
  const policies = [...new Set(comparisons.map(({ policy }) => policy))];
  write(
    'dispatch-p99.svg',
    barChart({
      title: 'p99 completion time by policy, utilisation 0.9',
      subtitle: 'multiples of an omniscient bound, logarithmic; shorter is better',
      series: laws,
      logarithmic: true,
      bars: policies.map((policy) => ({
        label: policy,
        emphasis: policy === 'gateway',
        values: laws.map(
          (law) => comparisons.find((row) => row.law === law && row.policy === policy)?.p99 ?? 0,
        ),
      })),
      format: (value) => (value < 10 ? value.toFixed(2) : value.toFixed(0)),
    }),
  );
  write(
    'dispatch-burst.svg',
    barChart({
      title: 'Time to finish a burst of 10,000 jobs',
      subtitle: 'seconds; in brackets the share of jobs that a node would have cut off at 180 s',
      series: ['makespan'],
      logarithmic: false,
      bars: bursts.map(({ policy, makespanS, tooLongShare }) => ({
        label: policy,
        emphasis: policy === 'gateway',
        values: [makespanS],
        note: tooLongShare > 0 ? ` (${(tooLongShare * 100).toFixed(0)} % cut off)` : '',
      })),
      format: (value) => `${value.toFixed(0)} s`,
    }),
  );
  write(
    'dispatch-learning.svg',
    stepChart({
      title: 'Learning how many jobs a node runs at once',
      subtitle: 'slots known to the gateway over the first minute; dashed: what the node really has',
      xLabel: 'seconds since the first job',
      lines: learning.map(({ node, slots, points }) => ({ label: `node ${node}`, truth: slots, points })),
    }),
  );
}

function write(name: string, svg: string): void {
  writeFileSync(new URL(name, FOLDER), svg);
}
