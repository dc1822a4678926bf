import { expect, it } from 'vitest';
import { keptStreamResult, wholeStreamResult } from './stream-result.js';

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

it('keeps all of an output that is short, however long the node writes it', () => {
  const escaped = '\\u0436'.repeat(10);
  const result = Buffer.from(`{"container": "c", "output": {"output": "${escaped}"}}`);
  expect(keptStreamResult(result, 20)).toBe(result);
  expect(JSON.parse(keptStreamResult(result, 19).toString())).toMatchObject({
    output: { output: 'ж'.repeat(9), truncated: true, bytes: 20 },
  });
});

it('gives an output that is all there as a node would', () => {
  expect(wholeStreamResult('c', Buffer.from('aж')).toString()).toBe(
    '{"container":"c","output":{"output":"aж"}}',
  );
});
