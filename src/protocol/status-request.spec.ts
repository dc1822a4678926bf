import { describe, expect, it } from 'vitest';
import { isRecordableId, parseStatusRequest } from './status-request.js';

const parse = (body: string) => parseStatusRequest(Buffer.from(body));

describe('parseStatusRequest', () => {
  it('reads id and status; data may be anything', () => {
    expect(parse('{"id":"a","status":"success","containers":["x"],"data":NaN}')).toEqual({
      id: 'a',
      status: 'success',
    });
    expect(parse('{"id":"a","status":"running","containers":[]}').status).toBe('running');
  });

  it.each([
    ['', 'body'],
    ['[]', 'body'],
    ['{"status":"success","containers":[]}', 'id'],
    ['{"id":1,"status":"success","containers":[]}', 'id'],
    ['{"id":"","status":"success","containers":[]}', 'id'],
    ['{"id":"a\\u0000","status":"success","containers":[]}', 'id'],
    ['{"id":"\\ud800","status":"success","containers":[]}', 'id'],
    ['{"id":"a","status":"success"}', 'containers'],
    ['{"id":"a","status":"success","containers":"x"}', 'containers'],
    ['{"id":"a","status":"success","containers":[1e999]}', 'containers'],
    ['{"id":"a","containers":[]}', 'status'],
    ['{"id":"a","status":"done","containers":[]}', 'status'],
    ['{"id":"a","status":null,"containers":[]}', 'status'],
  ])('refuses %s naming %s', (body, field) => {
    expect(() => parse(body)).toThrow(expect.objectContaining({ params: { field } }));
  });

  it("refuses an unknown status in a node's words", () => {
    expect(() => parse('{"id":"a","status":"done","containers":[]}')).toThrow(/^Status is invalid$/);
  });
});

it('ids are bounded', () => {
  expect(isRecordableId('x'.repeat(255))).toBe(true);
  expect(isRecordableId('x'.repeat(256))).toBe(false);
  expect(isRecordableId('🍕')).toBe(true);
});
