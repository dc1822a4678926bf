import { expect, it } from 'vitest';
import { sumOf } from './watched.js';

it('adds up the series of one metric', () => {
  const text = [
    '# HELP requests_total Requests',
    'requests_total{node="a b",route="info"} 5',
    'requests_total{node="c"} 2',
    'requests_total_more{node="c"} 100',
    'jobs 7',
  ].join('\n');
  expect(sumOf(text, 'requests_total')).toBe(7);
  expect(sumOf(text, 'requests_total', 'route="info"')).toBe(5);
  expect(sumOf(text, 'jobs')).toBe(7);
});
