import { expect, it } from 'vitest';
import { emptySpan, History, sumOf, type Span } from './history.js';

const span = (arrived: number, waiting: number | null = null): Span => ({ ...emptySpan(), arrived, waiting });

it('forgets what is older than it may hold, and takes no older news', () => {
  const history = new History(1_000, 3);
  for (const at of [0, 1_000, 2_000, 3_000]) history.put(at, span(at));
  history.put(0, span(7));
  expect([...history.since(-Infinity)].map(([at]) => at)).toEqual([1_000, 2_000, 3_000]);
  expect(history.latestAt).toBe(3_000);
});

it('takes the newer of two words on one span', () => {
  const history = new History(1_000, 3);
  history.put(1_000, span(1));
  history.put(1_000, span(2));
  expect(history.get(1_000)?.arrived).toBe(2);
});

it('shows what is missing, also after a long silence', () => {
  const history = new History(1_000, 5);
  history.put(1_000, span(1));
  history.put(4_000, span(4));
  expect([...history.since(2_500)].map(([at, one]) => [at, one?.arrived])).toEqual([
    [2_000, undefined],
    [3_000, undefined],
    [4_000, 4],
  ]);
  history.put(1_000_000, span(9));
  expect([...history.since(0)].map(([at]) => at)).toEqual([1_000_000]);
});

it('adds spans up', () => {
  const history = new History(1_000, 10);
  history.put(0, span(1, 4));
  history.put(1_000, span(2, 8));
  history.put(2_000, span(4));
  history.put(3_000, span(8, 100));
  expect(sumOf(history.between(0, 3_000))).toMatchObject({ arrived: 7, waiting: 6, running: null });
});
