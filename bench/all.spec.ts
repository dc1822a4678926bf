import { describe, expect, it } from 'vitest';
import { shownOf, tableOf, targetsOf } from './all.js';

describe('all benchmarks in one table', () => {
  const report = {
    rows: [],
    targets: [
      { name: 'p50 (ms)', value: 20.123456, target: 60, ok: true },
      { name: 'latency, part of a bare proxy', value: 0.3, target: 0.45, atLeast: true, ok: false },
    ],
  };

  it('names targets after their benchmark, and shows them as Markdown', () => {
    expect(tableOf(targetsOf('latency', report)).split('\n')).toEqual([
      '| target                        | measured | wanted | met    |',
      '| ----------------------------- | -------- | ------ | ------ |',
      '| latency: p50 (ms)             | 20.123   | ≤ 60   | yes    |',
      '| latency: part of a bare proxy | 0.3      | ≥ 0.45 | **no** |',
    ]);
  });

  it('says of very many targets how many are met, and which are not', () => {
    const targets = Array.from({ length: 30 }, (_none, n) => {
      return { name: `dispatch: ${n}`, value: n, target: 28, ok: n <= 28 };
    });
    expect(shownOf('dispatch', targets).map(({ name, value, ok }) => [name, value, ok])).toEqual([
      ['dispatch: targets met, of 30', 29, false],
      ['dispatch: 29', 29, false],
    ]);
    expect(shownOf('dispatch', targets.slice(0, 5))).toEqual(targets.slice(0, 5));
  });

  it('counts a benchmark without a report as missed', () => {
    expect(targetsOf('soak', undefined)).toEqual([{ name: 'soak: broke', value: 1, target: 0, ok: false }]);
  });
});
