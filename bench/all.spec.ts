import { describe, expect, it } from 'vitest';
import { tableOf, targetsOf } from './all.js';

describe('all benchmarks in one table', () => {
  const report = {
    rows: [],
    targets: [
      { name: 'p50 (ms)', value: 20.123456, target: 60, ok: true },
      { name: 'part of a bare proxy', value: 0.3, target: 0.45, atLeast: true, ok: false },
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

  it('counts a benchmark without a report as missed', () => {
    expect(targetsOf('soak', undefined)).toEqual([{ name: 'soak: broke', value: 1, target: 0, ok: false }]);
  });
});
