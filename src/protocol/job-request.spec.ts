import { describe, expect, it } from 'vitest';
import { GatewayError } from '../errors.js';
import { BODY_LIMIT_BYTES, parseJobRequest, withNodeJobId } from './job-request.js';

const ID = '01890000-0000-7000-8000-000000000000';

function refusalOf(text: string): { message: string; field: unknown } {
  try {
    parseJobRequest(Buffer.from(text));
  } catch (error) {
    if (error instanceof GatewayError) return { message: error.message, field: error.params['field'] };
    throw error;
  }
  throw new Error('the request was accepted');
}

describe('a job request', () => {
  it('keeps data byte for byte and drops what a node would obey', () => {
    const data =
      '{ "n":115792089237316195423570985008687907853269984665640564039457584007913129639935, "x":1.0 }';
    const request = parseJobRequest(
      Buffer.from(`{"id":"mine","ip":"1.2.3.4","type":"x","extra":1,"data":${data},"containers":["a","b"]}`),
    );
    expect(request.containers).toEqual(['a', 'b']);
    expect(request.requiresProof).toBe(false);
    expect(request.body.toString()).toBe(`{"containers":["a","b"],"data":${data}}`);
  });

  it('carries a proof request and puts the node-side id in front', () => {
    const request = parseJobRequest(Buffer.from('{"containers":["a"],"data":{},"requires_proof":true}'));
    expect(withNodeJobId(request.body, ID).toString()).toBe(
      `{"id":"${ID}","containers":["a"],"data":{},"requires_proof":true}`,
    );
  });

  it('goes without an id when that would take it over the limit of a node', () => {
    const body = Buffer.alloc(BODY_LIMIT_BYTES, 0x20);
    expect(withNodeJobId(body, ID)).toBe(body);
    const head = `{"id":"${ID}",`.length;
    expect(withNodeJobId(body.subarray(0, BODY_LIMIT_BYTES - head + 1), ID).length).toBe(BODY_LIMIT_BYTES);
  });

  it.each([
    ['', 'body', 'empty'],
    ['{', 'body', 'not valid JSON'],
    ['[]', 'body', 'an array'],
    ['3', 'body', 'a number'],
    ['{"data":{}}', 'containers', 'missing'],
    ['{"containers":"a","data":{}}', 'containers', 'a string'],
    ['{"containers":["a",1],"data":{}}', 'containers[1]', 'a number'],
    ['{"containers":["a"]}', 'data', 'missing'],
    ['{"containers":["a"],"data":null}', 'data', 'null'],
    ['{"containers":["a"],"data":{},"requires_proof":"yes"}', 'requires_proof', 'a string'],
  ])('refuses %s naming %s', (text, field, words) => {
    const refusal = refusalOf(text);
    expect(refusal.field).toBe(field);
    expect(refusal.message).toContain(words);
  });
});
