import { expect, it } from 'vitest';
import { functionTimes } from './profile.js';

const frame = (functionName: string) => ({ functionName, url: 'file:///a/b/c/d.js', lineNumber: 0 });

it('adds up the time of a function wherever it was called, and counts recursion once', () => {
  const profile = {
    nodes: [
      { id: 1, callFrame: { functionName: '(root)', url: '', lineNumber: -1 }, children: [2, 4] },
      { id: 2, callFrame: frame('outer'), children: [3] },
      { id: 3, callFrame: frame('inner'), children: [5] },
      { id: 4, callFrame: frame('inner') },
      { id: 5, callFrame: frame('outer') },
    ],
    samples: [2, 3, 4, 5, 3],
    timeDeltas: [10, 100, 1_000, 10_000, 100],
  };
  expect(functionTimes(profile)).toEqual([
    { name: 'outer b/c/d.js:1', selfUs: 10_010, totalUs: 10_210 },
    { name: 'inner b/c/d.js:1', selfUs: 1_200, totalUs: 11_200 },
    { name: '(root)', selfUs: 0, totalUs: 11_210 },
  ]);
});
