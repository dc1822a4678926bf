import { expect, it } from 'vitest';
import { RowChanges } from './row-changes.js';

it('tells of rows what changed in them, and which are gone', () => {
  const changes = new RowChanges();
  const [a, b] = [
    { id: 'a', load: 1, labels: { x: 'y' } },
    { id: 'b', load: 2, labels: {} },
  ];
  expect(changes.next([a, b])).toEqual({ changed: [a, b], removed: [] });
  expect(changes.next([a, { ...b, labels: {} }])).toBeUndefined();
  expect(changes.next([{ ...a, load: 3 }])).toEqual({ changed: [{ id: 'a', load: 3 }], removed: ['b'] });
  expect(changes.next([{ ...a, load: 3 }, b])).toEqual({ changed: [b], removed: [] });
});
