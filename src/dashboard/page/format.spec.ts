import { expect, it } from 'vitest';
import { formatBytes, formatDuration, formatNumber, formatRelative, formatShare } from './format.js';

it.each([
  [null, '–'],
  [0, '0 ms'],
  [0.5, '0.5 ms'],
  [9.97, '10 ms'],
  [999.4, '999 ms'],
  [1_000, '1.0 s'],
  [9_960, '10 s'],
  [59_400, '59 s'],
  [60_000, '1 min'],
  [200_000, '3 min 20 s'],
  [7_500_000, '2 h 5 min'],
  [90_000_000, '1 d 1 h'],
])('%s ms are shown as %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

it.each([
  [0, '0'],
  [0.004, '0.004'],
  [0.05, '0.05'],
  [0.25, '0.3'],
  [9.96, '10.0'],
  [12.4, '12'],
  [100_000, '100,000'],
])('%d is shown as %s', (value, text) => expect(formatNumber(value)).toBe(text));

it.each([
  [0, 'just now'],
  [12_000, '12 s ago'],
  [-180_000, 'in 3 min'],
  [7_300_000, '2 h ago'],
  [172_800_000, '2 d ago'],
])('%d ms ago is %s', (ms, text) =>
  expect(formatRelative(new Date(1e12).toISOString(), 1e12 + ms)).toBe(text),
);

it('a share is 100 % only if nothing is missing', () => {
  expect([formatShare(99_999, 100_000), formatShare(5, 5), formatShare(0, 0), formatShare(1, 3)]).toEqual([
    '99.9 %',
    '100 %',
    '–',
    '33.3 %',
  ]);
});

it.each([
  [12, '12 B'],
  [1_400, '1.4 kB'],
  [3_000_000, '3 MB'],
])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
