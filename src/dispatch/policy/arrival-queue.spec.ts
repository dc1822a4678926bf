import { describe, expect, it } from 'vitest';
import { ArrivalQueue } from './arrival-queue.js';

const id = (n: number): string => String(n).padStart(8, '0');

function drained(queue: ArrivalQueue): string[] {
  const ids: string[] = [];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) ids.push(next);
  return ids;
}

describe('ArrivalQueue', () => {
  it('gives ids in their order, whatever the order they came in', () => {
    const queue = new ArrivalQueue();
    for (const n of [5, 1, 9, 3, 7]) expect(queue.add(id(n))).toBe(true);
    expect(queue.length).toBe(5);
    expect(queue.first).toBe(id(1));
    expect(drained(queue)).toEqual([1, 3, 5, 7, 9].map(id));
    expect(queue.length).toBe(0);
    expect(queue.first).toBeUndefined();
  });

  it('takes an id once', () => {
    const queue = new ArrivalQueue();
    for (const n of [1, 2, 3]) queue.add(id(n));
    for (const n of [1, 2, 3]) expect(queue.add(id(n))).toBe(false);
    expect(drained(queue)).toEqual([1, 2, 3].map(id));
  });

  it('puts one that comes back in front of what is behind it', () => {
    const queue = new ArrivalQueue();
    for (const n of [1, 2, 3]) queue.add(id(n));
    queue.shift();
    queue.shift();
    queue.add(id(1));
    expect(drained(queue)).toEqual([1, 3].map(id));
  });

  it('removes what is there and nothing else', () => {
    const queue = new ArrivalQueue();
    for (const n of [1, 2, 3]) queue.add(id(n));
    queue.shift();
    expect(queue.remove(id(1))).toBe(false);
    expect(queue.remove(id(2))).toBe(true);
    expect(queue.remove(id(2))).toBe(false);
    expect(queue.remove(id(9))).toBe(false);
    expect(drained(queue)).toEqual([id(3)]);
  });

  it('keeps its order over thousands of additions and removals', () => {
    const queue = new ArrivalQueue();
    const taken: string[] = [];
    for (let n = 0; n < 10_000; n += 1) {
      queue.add(id(n));
      if (n % 3 !== 0) taken.push(queue.shift() ?? '');
      if (n % 100 === 0) queue.add(taken.at(-1) ?? id(n));
      if (n % 100 === 0 && n > 0) expect(queue.shift()).toBe(taken.at(-1));
    }
    taken.push(...drained(queue));
    expect(taken).toEqual(Array.from({ length: 10_000 }, (_, n) => id(n)));
  });
});
