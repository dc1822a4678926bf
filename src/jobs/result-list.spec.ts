import { expect, it } from 'vitest';
import type { JobState } from './job-state.js';
import { failureResult, wireStatus } from './job-state.js';
import { resultList, type StoredJob } from './result-list.js';

const stored = (id: string, state: JobState, result?: string, intermediate?: string): [string, StoredJob] => [
  id,
  {
    id,
    state,
    result: result === undefined ? null : Buffer.from(result),
    intermediate: intermediate === undefined ? null : Buffer.from(intermediate),
  },
];
const JOBS = new Map([
  stored('a', 'succeeded', '{"container":"x","output":NaN}', '[1e400]'),
  stored('b', 'running'),
  stored('c', 'failed', '{"container":"x","error":"e"}'),
  stored('d', 'queued'),
]);

it('puts finished jobs first, keeps duplicates, leaves out the unknown, and copies bytes', () => {
  expect(resultList(['d', 'c', '?', 'b', 'a', 'c'], JOBS, false).toString()).toBe(
    '[{"id":"c","result":{"container":"x","error":"e"},"status":"failed"},' +
      '{"id":"a","result":{"container":"x","output":NaN},"status":"success"},' +
      '{"id":"c","result":{"container":"x","error":"e"},"status":"failed"},' +
      '{"id":"d","result":null,"status":"running"},{"id":"b","result":null,"status":"running"}]\n',
  );
});

it('adds intermediate results', () => {
  expect(resultList(['a', 'b'], JOBS, true).toString()).toBe(
    '[{"id":"a","intermediate_results":[1e400],"result":{"container":"x","output":NaN},"status":"success"},' +
      '{"id":"b","intermediate_results":[],"result":null,"status":"running"}]\n',
  );
});

it('is an empty list for nothing', () => {
  expect(resultList([], JOBS, true).toString()).toBe('[]\n');
  expect(resultList(['?'], JOBS, false).toString()).toBe('[]\n');
});

it.each<[JobState, string]>([
  ['queued', 'running'],
  ['sending', 'running'],
  ['running', 'running'],
  ['retrying', 'running'],
  ['succeeded', 'success'],
  ['failed', 'failed'],
  ['cancelled', 'failed'],
])('%s is %s on the wire', (state, status) => {
  expect(wireStatus(state)).toBe(status);
});

it('a failure of the gateway names the first container', () => {
  expect(failureResult(['x', 'y'], 'a "b"').toString()).toBe('{"container":"x","error":"a \\"b\\""}');
});
