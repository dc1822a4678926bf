import { expect, it } from 'vitest';
import { ReplySizes } from './reply-sizes.js';

const many = (kind: string, count = 1_000): string[] => Array.from({ length: count }, () => kind);
const MIB = 1_048_576;

it('asks for as many as allowed while nothing is known', () => {
  expect(new ReplySizes(200).fit(many('a'))).toBe(200);
  expect(new ReplySizes(200).fit(many('a', 3))).toBe(3);
});

it('keeps the expected reply under 8 MiB', () => {
  const sizes = new ReplySizes(200);
  sizes.learn('big', 2 * MIB);
  expect(sizes.fit(many('big'))).toBe(4);
  expect(sizes.fit(many('small'))).toBe(200);
  expect(sizes.fit(['small', 'big', 'big', 'big', 'big', 'big'])).toBe(4);
});

it('asks for one that is larger than all that', () => {
  const sizes = new ReplySizes(200);
  sizes.learn('huge', 60 * MIB);
  expect(sizes.fit(many('huge'))).toBe(1);
});

it('takes a larger result in at once and forgets it slowly', () => {
  const sizes = new ReplySizes(200);
  sizes.learn('a', 1_000);
  sizes.learn('a', 4 * MIB);
  expect(sizes.fit(many('a'))).toBe(2);
  sizes.learn('a', 1_000);
  expect(sizes.fit(many('a'))).toBe(2);
  for (let n = 0; n < 50; n += 1) sizes.learn('a', 1_000);
  expect(sizes.fit(many('a'))).toBe(200);
});

it('halves after a failure, down to one, and doubles again', () => {
  const sizes = new ReplySizes(200);
  const limits = Array.from({ length: 9 }, () => {
    const asked = sizes.fit(many('a'));
    sizes.failed(asked);
    return asked;
  });
  expect(limits).toEqual([200, 100, 50, 25, 12, 6, 3, 1, 1]);
  for (let n = 0; n < 10; n += 1) sizes.worked();
  expect(sizes.fit(many('a'))).toBe(200);
});

it('remembers a bounded number of kinds', () => {
  const sizes = new ReplySizes(200);
  for (let n = 0; n < 5_000; n += 1) sizes.learn(`kind ${n}`, MIB);
  const { meanBytes } = sizes as unknown as { meanBytes: Map<string, number> };
  expect(meanBytes.size).toBeLessThanOrEqual(1_000);
});
