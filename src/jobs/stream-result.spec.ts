import { expect, it } from 'vitest';
import { keptStreamResult } from './stream-result.js';

it('keeps a short result byte for byte', () => {
  const result = Buffer.from('{"container": "c","output":{"output":"\\u00e4"}}');
  expect(keptStreamResult(result, 100)).toBe(result);
});

it('keeps the beginning of a long one, without half a character', () => {
  const result = Buffer.from(JSON.stringify({ container: 'c', output: { output: 'aäöü'.repeat(10) } }));
  expect(JSON.parse(keptStreamResult(result, 4).toString())).toEqual({
    container: 'c',
    output: { output: 'aä', truncated: true, bytes: 70 },
  });
});
