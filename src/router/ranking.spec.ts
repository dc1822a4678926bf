import { expect, it } from 'vitest';
import { ranked, type Candidate } from './ranking.js';

const candidate = (
  node: string,
  load: number,
  serviceMs?: number,
  slots?: number,
  isDoubtful = false,
): Candidate<string> => ({ node, load, serviceMs, slots, isDoubtful });

it('the soonest completion comes first, be there more pending or not', () => {
  expect(
    ranked([
      candidate('slow and idle', 0, 1_000, 1),
      candidate('fast with some work', 3, 100, 1),
      candidate('fast with much room', 20, 100, 32),
      candidate('fast and full', 50, 100, 2),
    ]),
  ).toEqual(['fast with much room', 'fast with some work', 'slow and idle', 'fast and full']);
});

it('without knowledge it is the load', () => {
  expect(ranked([candidate('b', 2), candidate('c', 7), candidate('a', 0)])).toEqual(['a', 'b', 'c']);
});

it('an unknown node is taken for an average one', () => {
  expect(
    ranked([candidate('slow', 0, 300, 1), candidate('unknown', 0), candidate('fast', 0, 100, 1)]),
  ).toEqual(['fast', 'unknown', 'slow']);
});

it('a doubtful node comes last', () => {
  expect(ranked([candidate('doubtful', 0, 1, 1, true), candidate('busy', 99, 100, 1)])).toEqual([
    'busy',
    'doubtful',
  ]);
});

it('equals come in random order', () => {
  const equals = ['a', 'b', 'c'].map((node) => candidate(node, 0, 100, 1));
  const lots = [0.5, 0.1, 0.9];
  expect(ranked(equals, () => lots.shift() ?? 0)).toEqual(['b', 'a', 'c']);
});
