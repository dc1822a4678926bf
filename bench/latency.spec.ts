import { expect, it } from 'vitest';
import { latenesses } from './latency.js';

it('takes how late a result is from the log of the node that had it', () => {
  const completedAt = new Map([
    ['a', 1_000],
    ['b', 2_000],
  ]);
  const outcomes = [
    { id: 'b', atMs: 2_020 },
    { id: 'a', atMs: 1_005 },
  ];
  expect(latenesses(outcomes, completedAt)).toEqual([20, 5]);
  expect(() => latenesses([{ id: 'c', atMs: 0 }], completedAt)).toThrow('no node says');
});
