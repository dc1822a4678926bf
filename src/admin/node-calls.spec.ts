import { describe, expect, it } from 'vitest';
import { readBody } from '../http/api-input.js';
import { changeNodeSchema, registerNodeSchema } from './node-calls.js';

const JSON_TYPE = 'application/json';
const read = (
  body: unknown,
  schema: typeof changeNodeSchema | typeof registerNodeSchema = registerNodeSchema,
) => readBody<object>(schema, Buffer.from(JSON.stringify(body)), JSON_TYPE);
const failure = (work: () => unknown): unknown => {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
};

describe('readBody', () => {
  it('gives what was sent', () => {
    const wishes = {
      url: 'a',
      name: 'n',
      weight: 0.5,
      maxInFlight: null,
      labels: { a: 'b' },
      headers: { X: 'y' },
    };
    expect(read(wishes)).toEqual(wishes);
    expect(read({}, changeNodeSchema)).toEqual({});
  });

  it.each([
    [{}, 'url'],
    [{ url: 'a', weight: 0 }, 'weight'],
    [{ url: 'a', weight: 1_001 }, 'weight'],
    [{ url: 'a', maxInFlight: 0.5 }, 'maxInFlight'],
    [{ url: 'a', name: 'x'.repeat(201) }, 'name'],
    [{ url: 'a', labels: { '': 'x' } }, 'labels.'],
    [{ url: 'a', headers: { 'Content-Length': '1' } }, 'headers.Content-Length'],
    [{ url: 'a', headers: { a: '\u0000' } }, 'headers.a'],
    [{ url: 'a', other: 1 }, 'other'],
    ['a', 'body'],
    [null, 'body'],
  ])('%j names %s', (body, field) => {
    expect(failure(() => read(body))).toMatchObject({ code: 'MALFORMED_REQUEST', params: { field } });
  });

  it('wants JSON', () => {
    const code = (text: string, type: string | undefined) =>
      failure(() => readBody(changeNodeSchema, Buffer.from(text), type));
    expect(code('{', JSON_TYPE)).toMatchObject({ code: 'MALFORMED_REQUEST', params: { field: 'body' } });
    expect(code('', JSON_TYPE)).toMatchObject({ code: 'MALFORMED_REQUEST' });
    expect(code('{}', 'text/plain')).toMatchObject({ code: 'UNSUPPORTED_MEDIA_TYPE' });
    expect(code('{}', undefined)).toMatchObject({ code: 'UNSUPPORTED_MEDIA_TYPE' });
  });
});
