import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { json } from '../support/http.js';

let fleet: TestFleet;

beforeAll(async () => void (fleet = await startTestGateway()));
afterAll(() => fleet.stop());

const nested = (depth: number): string => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`;

const PAYLOADS: [string, string][] = [
  ['2**256-1', `{"r":${2n ** 256n - 1n}}`],
  ['numbers', '{"a":1.0,"b":1e400,"c":-0,"d":1E+05,"e":0.10,"f":123456789012345678901234567890.0e-5}'],
  ['duplicate keys', '{"a":1,"b":2,"a":3,"a":{"x":1,"x":2}}'],
  ['900 levels', nested(900)],
  ['20,000 levels', nested(20_000)],
  ['lone surrogates', '{"a":"\\ud800","b":"\\udc00x","\\ud801":1}'],
  ['escapes', '{"\\u0069d":"\\/\\b\\f\\n\\r\\t\\"\\\\\\u0000","caf\\u00E9":"\\ud83d\\uDE00"}'],
  ['unicode', '{"grüße":"日本語 😀 \u2028\u2029 \u007f","":null}'],
  ['white space', '{ "a" :\n[ 1 ,\t2\r\n] }'],
  ['bare words', '{"a":NaN,"b":[Infinity,-Infinity]}'],
  ['reserved names', '{"id":"x","ip":"1.2.3.4","type":1,"__proto__":{"a":1},"constructor":2}'],
  ['nothing', '{}'],
];

describe('data', () => {
  it.each(PAYLOADS)('%s reaches the node and comes back byte for byte', async (_name, data) => {
    const reply = await fleet.gateway.post(`{"data":${data},"containers":["echo"]}`);
    expect(reply.status).toBe(200);
    const { id } = json<{ id: string }>(reply);
    const sent = fleet.submissions().at(-1)?.toString();
    expect(sent).toBe(`{"id":"${id}","containers":["echo"],"data":${data}}`);
    const result = await ended(id);
    expect(result).toBe(
      `[{"id":"${id}","result":{"container":"echo","output":${data}},"status":"success"}]\n`,
    );
  });

  it.each(PAYLOADS)('%s in a batch', async (_name, data) => {
    const reply = await fleet.gateway.postBatch(`[ {"containers":["echo"],"data":${data}} ]`);
    const [item] = json<[{ id: string }]>(reply);
    expect(await ended(item.id)).toContain(`"output":${data}}`);
  });

  it("never hands a caller's id, ip or type on", async () => {
    const planted =
      '{"id":"planted","ip":"6.6.6.6","type":"x","\\u0069d":"planted","\\u0069\\u0070":"6.6.6.6","t\\u0079pe":9,' +
      '"extra":1,"containers":["echo"],"data":{"id":"kept"},"\\u0069d":"planted"}';
    const reply = await fleet.gateway.post(planted);
    expect(reply.status).toBe(200);
    const { id } = json<{ id: string }>(reply);
    expect(id).not.toBe('planted');
    expect(fleet.submissions().at(-1)?.toString()).toBe(
      `{"id":"${id}","containers":["echo"],"data":{"id":"kept"}}`,
    );
    const [item] = json<[{ id: string }]>(await fleet.gateway.postBatch(`[${planted}]`));
    expect(fleet.submissions().at(-1)?.toString()).not.toContain('planted');
    expect(item.id).not.toBe('planted');
  });

  it('takes the last of duplicate members, as a node does', async () => {
    const reply = await fleet.gateway.post(
      '{"containers":["no"],"data":{"a":1},"containers":["echo"],"data":{"a":2}}',
    );
    expect(reply.status).toBe(200);
    expect(fleet.submissions().at(-1)?.toString()).toContain('"containers":["echo"],"data":{"a":2}');
  });

  it("sends neither the caller's headers nor its address to a node", async () => {
    await fleet.gateway.post('{"containers":["echo"],"data":{}}', {
      authorization: 'Bearer secret',
      cookie: 'a=b',
      'x-forwarded-for': '1.2.3.4',
    });
    for (const { headers } of fleet.nodes[0]?.received ?? []) {
      expect(headers).not.toHaveProperty('authorization');
      expect(headers).not.toHaveProperty('cookie');
      expect(headers).not.toHaveProperty('x-forwarded-for');
    }
  });
});

describe('results', () => {
  it.each([
    ['bare NaN', '{"score":NaN,"more":[Infinity,-Infinity]}'],
    ['numbers', '[1.0,1e400,115792089237316195423570985008687907853269984665640564039457584007913129639935]'],
    ['a string', '"\\ud800 \\u0000 \\/ ü"'],
    ['null', 'null'],
    ['white space', '{ "a" : 1 }'],
    ['braces in strings', '{"a":"]}[{\\"","b":"\\\\"}'],
    ['900 levels', nested(900)],
  ])('%s of a node reaches the caller byte for byte', async (_name, output) => {
    fleet.nodes[0]?.respondWith('step-two', output);
    const id = await fleet.gateway.submit(['step-two'], {});
    expect(await ended(id)).toBe(
      `[{"id":"${id}","result":{"container":"step-two","output":${output}},"status":"success"}]\n`,
    );
    fleet.nodes[0]?.respondWith('step-two', undefined);
  });

  it('of 10 MB', async () => {
    const output = Buffer.from(`"${'0123456789abcdef\\u00e9'.repeat(455_000)}"`);
    fleet.nodes[0]?.respondWith('step-two', output);
    const ids = [await fleet.gateway.submit(['step-two'], {}), await fleet.gateway.submit(['step-two'], {})];
    for (const id of ids) await ended(id);
    const { body } = await fleet.gateway.getResults(ids);
    expect(output.length).toBeGreaterThan(10_000_000);
    const first = body.indexOf(output);
    expect(first).toBeGreaterThan(0);
    expect(body.indexOf(output, first + output.length)).toBeGreaterThan(first);
    fleet.nodes[0]?.respondWith('step-two', undefined);
  });
});

/** Waits for a job's end without decoding it. @returns the reply's text */
async function ended(id: string): Promise<string> {
  for (let turn = 0; turn < 10; turn += 1) {
    const { text } = await fleet.gateway.getResults([id], { prefer: 'wait=2' });
    if (!text.endsWith('"status":"running"}]\n')) return text;
  }
  throw new Error(`job ${id} does not end`);
}
