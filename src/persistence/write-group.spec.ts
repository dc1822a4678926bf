import { describe, expect, it } from 'vitest';

import { WriteGroup, type WriteGroupOptions } from './write-group.js';

/** A group whose flushes are recorded and end only when the test says so. */
function manualGroup(options: Partial<WriteGroupOptions<string, string>> = {}) {
  const flushes: { items: string[]; finish: () => void; fail: (error: Error) => void }[] = [];
  const announced: (() => void)[] = [];
  const group = new WriteGroup<string, string>({
    name: 'test',
    flush: (items) =>
      new Promise((resolve, reject) => {
        flushes.push({ items, finish: () => resolve(items.map((item) => item.toUpperCase())), fail: reject });
        announced.shift()?.();
      }),
    ...options,
  });
  /** Resolves at the next flush. */
  const flushed = () => new Promise<void>((resolve) => announced.push(resolve));
  return { group, flushes, flushed };
}

/** A group that writes at once and refuses a flush holding an item named "bad". */
function strictGroup(error = new Error('bad item')) {
  const flushes: string[][] = [];
  const group = new WriteGroup<string, string>({
    name: 'test',
    flush: (items) => {
      flushes.push(items);
      return items.includes('bad')
        ? Promise.reject(error)
        : Promise.resolve(items.map((item) => item.toUpperCase()));
    },
  });
  return { group, flushes };
}

describe('WriteGroup', () => {
  it('gathers items while a flush is in flight and gives each its own result', async () => {
    const { group, flushes, flushed } = manualGroup();
    const first = group.add('a');
    await flushed();
    const rest = Promise.all([group.add('b'), group.add('c')]);
    const second = flushed();
    flushes[0]?.finish();
    await expect(first).resolves.toBe('A');
    await second;
    flushes[1]?.finish();
    await expect(rest).resolves.toEqual(['B', 'C']);
    expect(flushes.map(({ items }) => items)).toEqual([['a'], ['b', 'c']]);
  });

  it('lets items of the same turn of the event loop join', async () => {
    const { group, flushes } = strictGroup();
    await Promise.all([group.add('a'), Promise.resolve().then(() => group.add('b')), group.add('c')]);
    expect(flushes).toEqual([['a', 'c', 'b']]);
  });

  it('respects the limits on items and bytes, and lets a larger item go alone', async () => {
    const { group, flushes, flushed } = manualGroup({
      maxItems: 3,
      maxBytes: 5,
      sizeOf: (item) => item.length,
    });
    const next = flushed();
    const all = Promise.all(
      ['a', 'b', 'c', 'd', 'eeeeeeee', 'ff', 'gg', 'hh'].map((item) => group.add(item)),
    );
    await next;
    for (let index = 0; index < 4; index++) {
      const following = flushed();
      flushes[index]?.finish();
      await following;
    }
    flushes[4]?.finish();
    await all;
    const expected = [['a', 'b', 'c'], ['d'], ['eeeeeeee'], ['ff', 'gg'], ['hh']];
    expect(flushes.map(({ items }) => items)).toEqual(expected);
  });

  it('runs as many flushes at once as allowed, and no more', async () => {
    const { group, flushes, flushed } = manualGroup({ concurrency: 2, maxItems: 1 });
    const third = [flushed(), flushed(), flushed()];
    const all = Promise.all(['a', 'b', 'c'].map((item) => group.add(item)));
    await third[1];
    expect(flushes).toHaveLength(2);
    flushes[0]?.finish();
    await third[2];
    flushes[1]?.finish();
    flushes[2]?.finish();
    await expect(all).resolves.toEqual(['A', 'B', 'C']);
  });

  it('fails a bad item alone', async () => {
    const { group, flushes } = strictGroup();
    const items = ['a', 'b', 'bad', 'c', 'd'];
    const results = await Promise.allSettled(items.map((item) => group.add(item)));
    expect(results.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ]);
    expect(flushes[0]).toEqual(items);
    expect(flushes.filter((flush) => flush.length === 1 && flush[0] === 'bad')).toHaveLength(1);
  });

  it('fails everything at once when the database is away', async () => {
    const { group, flushes } = strictGroup(new Error('Connection terminated unexpectedly'));
    const results = await Promise.allSettled([group.add('a'), group.add('bad')]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(flushes).toHaveLength(1);
    await expect(group.add('b')).resolves.toBe('B');
  });

  it('rejects items that the flush gave no result for', async () => {
    const group = new WriteGroup<string, string>({ name: 'short', flush: () => Promise.resolve([]) });
    await expect(group.add('a')).rejects.toThrow('The write group short returned too few results.');
  });

  it('drains: waits for what is in flight and what waits, and at once when idle', async () => {
    const { group, flushes, flushed } = manualGroup();
    await group.drain();
    const first = group.add('a');
    await flushed();
    const second = group.add('b').catch(() => 'failed');
    let drained = false;
    const draining = group.drain().then(() => (drained = true));
    const next = flushed();
    flushes[0]?.finish();
    await first;
    await next;
    expect(drained).toBe(false);
    flushes[1]?.fail(new Error('refused'));
    await draining;
    await expect(second).resolves.toBe('failed');
  });

  it('refuses limits that would stop it', () => {
    const flush = () => Promise.resolve([]);
    expect(() => new WriteGroup({ name: 'test', flush, maxItems: 0 })).toThrow(
      'maxItems of the write group test',
    );
  });
});
