import { describe, expect, it } from 'vitest';
import { containerHash } from '../protocol/container-hash.js';
import { SelectionIndex } from './selection-index.js';

const find = (index: SelectionIndex, ...ids: string[]) => index.containersOf(containerHash(ids));

describe('the index of selections', () => {
  it('knows every container and every ordered pair', () => {
    const index = new SelectionIndex();
    index.update('n', ['a', 'b', 'c']);
    for (const ids of [['a'], ['b', 'a'], ['a', 'b'], ['c', 'b']]) expect(find(index, ...ids)).toEqual(ids);
    expect(find(index, 'a', 'b', 'c')).toBeUndefined();
    expect(find(index, 'a', 'a')).toBeUndefined();
    expect(index.size).toBe(9);
  });

  it('keeps what another node still has', () => {
    const index = new SelectionIndex();
    index.update('m', ['a', 'b']);
    index.update('n', ['b', 'c']);
    expect(index.size).toBe(7);
    index.update('m', ['a']);
    expect(find(index, 'b')).toEqual(['b']);
    expect(find(index, 'a', 'b')).toBeUndefined();
    index.update('n', []);
    expect(index.size).toBe(1);
    index.update('m', []);
    expect(index.size).toBe(0);
  });

  it('holds no more than it may, and takes in what there is room for again', () => {
    const index = new SelectionIndex(10);
    index.update('m', ['a', 'b', 'c']);
    index.update('n', ['x', 'y']);
    expect(index.size).toBe(10);
    expect(find(index, 'x', 'y')).toBeUndefined();
    index.update('m', ['a']);
    expect(find(index, 'x', 'y')).toEqual(['x', 'y']);
    expect(index.size).toBe(5);
  });

  it('is, after any changes, what it would be if it was made anew', () => {
    const index = new SelectionIndex();
    const nodes = new Map<string, string[]>();
    for (let step = 0; step < 300; step += 1) {
      const node = `n${(step * 7) % 5}`;
      const ids = ['a', 'b', 'c', 'd', 'e'].filter((_, place) => ((step * 31) >> place) % 2 === 1);
      nodes.set(node, ids);
      index.update(node, ids);
    }
    const anew = new SelectionIndex();
    for (const [node, ids] of nodes) anew.update(node, ids);
    expect(index.size).toBe(anew.size);
    const letters = ['a', 'b', 'c', 'd', 'e'];
    for (const first of letters) {
      for (const second of ['', ...letters]) {
        const ids = second === '' ? [first] : [first, second];
        expect(find(index, ...ids)).toEqual(find(anew, ...ids));
      }
    }
  });

  it('of 141 containers fits', () => {
    const index = new SelectionIndex();
    const ids = Array.from({ length: 141 }, (_, n) => `container-${n}`);
    index.update('n', ids);
    expect(index.size).toBe(141 * 141);
    expect(index.size).toBeLessThanOrEqual(20_000);
  });
});
