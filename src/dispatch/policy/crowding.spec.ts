import { expect, it } from 'vitest';
import { Crowding } from './crowding.js';

/** Where each number of jobs is a level of its own. */
const CROWDS = [1, 2, 3, 5, 8, 13, 21, 32];
const VARIANCE = 0.4;

/** Logarithms of durations on a node that has room for four, with some noise that repeats. */
const samples = CROWDS.flatMap((crowd) =>
  [0.3, -0.2, 0.1, -0.4, 0.25].map((noise) => ({ crowd, log: 3 + noise + Math.log(Math.max(1, crowd / 4)) })),
);

/** By the definition: means by crowd, less what a crowd above the capacity adds, and their error around one mean. */
function defined(capacity: number): number {
  const means = CROWDS.map((crowd) => {
    const logs = samples.filter((sample) => sample.crowd === crowd).map(({ log }) => log);
    const mean = logs.reduce((sum, log) => sum + log, 0) / logs.length;
    return { count: logs.length, mean: mean - Math.log(Math.max(1, crowd / capacity)) };
  });
  const total = means.reduce((sum, { count }) => sum + count, 0);
  const middle = means.reduce((sum, { count, mean }) => sum + count * mean, 0) / total;
  return -means.reduce((sum, { count, mean }) => sum + count * (mean - middle) ** 2, 0) / (2 * VARIANCE);
}

it('gives each capacity the likelihood of its definition, and finds the one that was', () => {
  const crowding = new Crowding();
  for (const { crowd, log } of samples) crowding.learn(crowd, Math.exp(log));
  for (let jobs = 1; jobs <= 32; jobs += 1) {
    expect(crowding.logLikelihood(jobs, VARIANCE)).toBeCloseTo(defined(jobs), 9);
  }
  expect(crowding.logLikelihood(1_000, VARIANCE)).toBeCloseTo(defined(32), 9);
  const capacity = crowding.capacity(VARIANCE);
  expect(capacity?.least).toBeLessThanOrEqual(4);
  expect(capacity?.jobs).toBeGreaterThanOrEqual(4);
  expect(capacity?.jobs).toBeLessThan(8);
});
