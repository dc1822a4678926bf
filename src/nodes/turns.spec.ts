import { expect, it } from 'vitest';
import { Turns } from './turns.js';

it('lets so many be done at a time, the others in order, and goes on after a failure', async () => {
  const turns = new Turns(2);
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const all = [0, 1, 2, 3].map((n) =>
    turns.run(async () => {
      begun.push(n);
      await new Promise<void>((resolve) => ends.push(resolve));
      if (n === 0) throw new Error('broken');
      return n;
    }),
  );
  const settled = Promise.allSettled(all);
  await Promise.resolve();
  expect(begun).toEqual([0, 1]);
  ends[0]?.();
  await expect(all[0]).rejects.toThrow('broken');
  await new Promise(setImmediate);
  expect(begun).toEqual([0, 1, 2]);
  ends[1]?.();
  ends[2]?.();
  await all[2];
  await new Promise(setImmediate);
  ends[3]?.();
  expect((await settled).map(({ status }) => status)).toEqual(['rejected', ...Array(3).fill('fulfilled')]);
});
