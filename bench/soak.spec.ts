import { expect, it } from 'vitest';
import { growth, type Sample } from './soak.js';

it('compares the last third of a run with the middle one', () => {
  const rss = [10, 90, 100, 100, 105, 115];
  const samples = rss.map((rssMb) => ({ rssMb }) as Sample);
  expect(growth(samples, 'rssMb')).toBeCloseTo(1.1);
  expect(growth([{ rssMb: 1 } as Sample, ...samples], 'rssMb')).toBeCloseTo(1.1);
});
