import { expect, it } from 'vitest';
import { shutDown, type PhaseReport, type ShutdownPhase } from './shutdown.js';

async function reportsOf(phases: readonly ShutdownPhase[]): Promise<PhaseReport[]> {
  const reports: PhaseReport[] = [];
  await shutDown(phases, (report) => reports.push(report));
  return reports;
}

it('runs the phases in order, each after the end of the one before', async () => {
  const order: string[] = [];
  const phase = (name: string): ShutdownPhase => ({
    name,
    budgetMs: 30_000,
    run: async () => {
      order.push(`${name} begins`);
      await new Promise((resolve) => setImmediate(resolve));
      order.push(`${name} ends`);
    },
  });
  const reports = await reportsOf([phase('a'), phase('b')]);
  expect(order).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
  expect(reports.map(({ phase: name, outcome }) => [name, outcome])).toEqual([
    ['a', 'done'],
    ['b', 'done'],
  ]);
});

it('goes on after a phase that fails, whichever way, and says why', async () => {
  const error = new Error('no');
  const reports = await reportsOf([
    {
      name: 'throws',
      budgetMs: 30_000,
      run: () => {
        throw error;
      },
    },
    { name: 'rejects', budgetMs: 30_000, run: () => Promise.reject(error) },
    { name: 'last', budgetMs: 30_000, run: () => undefined },
  ]);
  expect(reports).toMatchObject([
    { outcome: 'failed', error },
    { outcome: 'failed', error },
    { outcome: 'done' },
  ]);
});

it('does not wait for a phase beyond its budget', async () => {
  const reports = await reportsOf([
    { name: 'hangs', budgetMs: 5, run: () => new Promise(() => undefined) },
    { name: 'last', budgetMs: 30_000, run: () => undefined },
  ]);
  expect(reports).toMatchObject([
    { phase: 'hangs', outcome: 'out of time' },
    { phase: 'last', outcome: 'done' },
  ]);
});
