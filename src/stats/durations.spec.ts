import { expect, it } from 'vitest';
import { BINS_PER_E, Durations } from './durations.js';

function durations(...ms: number[]): Durations {
  const counted = new Durations();
  for (const one of ms) counted.add(Math.round(Math.log(Math.max(1, one)) * BINS_PER_E), 1);
  return counted;
}

it.each([1, 7, 90, 1_234, 180_000, 86_400_000])('%d ms are found again to within 4.5 %%', (ms) => {
  const found = durations(ms).quantileMs(0.5) ?? Number.NaN;
  expect(Math.abs(found - ms) / ms).toBeLessThanOrEqual(0.045);
});

it('quantiles count from the shortest', () => {
  const all = durations(...Array.from({ length: 98 }, () => 10), 1_000, 100_000);
  expect(all.quantileMs(0.5)).toBe(durations(10).quantileMs(0.5));
  expect(all.quantileMs(0.99)).toBe(durations(1_000).quantileMs(1));
  expect(all.quantileMs(1)).toBe(durations(100_000).quantileMs(1));
  expect(new Durations().quantileMs(0.5)).toBeNull();
});

it('spans of time add up', () => {
  const both = durations(10, 20);
  both.merge(durations(20, 4_000, 4_000));
  expect(both.count).toBe(5);
  expect(both.quantileMs(0.5)).toBe(durations(20).quantileMs(1));
  expect(both.quantileMs(0.99)).toBe(durations(4_000).quantileMs(1));
});
