import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { json } from '../support/http.js';

/** Input that breaks programs: none of it may end in a 5xx, or do anything to those who come after. */

let fleet: TestFleet;
beforeAll(async () => void (fleet = await startTestGateway()));
afterAll(() => fleet.stop());
afterEach(async () => {
  const id = await fleet.gateway.submit(['echo'], { still: 'works' });
  expect((await fleet.gateway.finished([id]))[0]?.result).toEqual({
    container: 'echo',
    output: { still: 'works' },
  });
});

const authorised = (): Record<string, string> => ({
  authorization: `Bearer ${fleet.gateway.adminToken}`,
  'content-type': 'application/json',
});

describe('a job', () => {
  it.each([
    ['of NaN and infinities', '{"containers":["echo"],"data":{"n":NaN,"i":[Infinity,-Infinity]}}', 200],
    ['of huge numbers', `{"containers":["echo"],"data":{"n":${'9'.repeat(5_000)},"e":1e999999}}`, 200],
    ['nested 300,000 deep', `{"containers":["echo"],"data":{"d":${'['.repeat(3e5)}${']'.repeat(3e5)}}}`, 200],
    ['whose containers are nested', `{"containers":${'['.repeat(3e5)}${']'.repeat(3e5)},"data":{}}`, 400],
    ['with duplicate keys', '{"containers":["no"],"containers":["echo"],"data":1,"data":{}}', 200],
    ['with NUL and lone surrogates', '{"containers":["echo"],"data":{"\\u0000":"\\u0000\\ud800"}}', 200],
    ['with NUL in a container', '{"containers":["ec\\u0000ho"],"data":{}}', 405],
    ['with a lone surrogate in a container', '{"containers":["\\ud800"],"data":{}}', 405],
    [
      'with __proto__',
      '{"__proto__":{"containers":["echo"]},"containers":["echo"],"data":{"__proto__":{"a":1}}}',
      200,
    ],
    ['that is __proto__ alone', '{"__proto__":{"containers":["echo"],"data":{}}}', 400],
    ['for a container called __proto__', '{"containers":["__proto__"],"data":{}}', 405],
    ['of 20,000 containers', `{"containers":[${'"echo",'.repeat(19_999)}"echo"],"data":{}}`, 200],
    ['for a container with a name of a megabyte', `{"containers":["${'x'.repeat(1e6)}"],"data":{}}`, 405],
    ['with a byte order mark', '\ufeff{"containers":["echo"],"data":{}}', 400],
    ['that is a number', '1', 400],
  ])('%s', async (_, body, status) => {
    expect((await fleet.gateway.post(body)).status).toBe(status);
  });

  it('of bytes that are no UTF-8', async () => {
    const reply = await fleet.gateway.post(
      Buffer.from('{"containers":["echo"],"data":{"a":"\xff"}}', 'latin1'),
    );
    expect(reply.status).toBe(400);
  });

  it('in a batch of 20,000 that are none', async () => {
    const reply = await fleet.gateway.postBatch(`[${'0,'.repeat(19_999)}0]`);
    expect(reply.status).toBe(200);
    expect(json<unknown[]>(reply)).toHaveLength(20_000);
  });
});

describe('a query', () => {
  it.each([
    '?id=%00&id=',
    '?id=%ED%A0%80',
    `?${'id=x&'.repeat(3_000)}`,
    '?id[]=1&id[a]=2&__proto__=x&constructor=y',
    '?pending=true&pending=false',
    '?intermediate=%00&id=__proto__',
    '?id=019b0a01-2d4f-7c55-8a10-6f1b52b3c9d4&'.repeat(2),
    '?=&&&=',
  ])('GET /api/jobs%s', async (query) => {
    expect((await fleet.gateway.send(`/api/jobs${query}`)).status).toBe(200);
  });

  it.each([
    ['/jobs?container=%00', 400],
    ['/jobs?caller=a%00b', 400],
    ['/jobs?limit=1e3', 200],
    ['/jobs?limit=9999999999999999999', 400],
    ['/jobs?limit=NaN', 400],
    ['/jobs?status=failed&status=failed', 400],
    ['/jobs?__proto__=x', 400],
    ['/jobs?cursor=%27%3B--', 400],
    ['/jobs/%00', 400],
    ['/jobs/__proto__', 400],
    ['/nodes/__proto__', 404],
    ['/nodes/constructor', 404],
    [`/nodes/${'x'.repeat(101)}`, 400],
    ['/explain?container=%00', 200],
    ['/explain', 400],
  ])('GET /admin%s: %d', async (path, status) => {
    expect((await fleet.gateway.admin('GET', path)).status).toBe(status);
  });
});

describe('a node', () => {
  it.each([
    ['a name with NUL', '{"url":"http://127.0.0.1:1/a","name":"a\\u0000"}', 'name'],
    ['a name with a lone surrogate', '{"url":"http://127.0.0.1:1/a","name":"\\udfff"}', 'name'],
    ['a label with NUL', '{"url":"http://127.0.0.1:1/a","labels":{"a":"\\u0000"}}', 'labels.a'],
    [
      'a label key with a lone surrogate',
      '{"url":"http://127.0.0.1:1/a","labels":{"\\ud800":"x"}}',
      'labels.',
    ],
    [
      'a header with line breaks',
      '{"url":"http://127.0.0.1:1/a","headers":{"x":"a\\r\\nhost: b"}}',
      'headers.x',
    ],
    ['a header beyond Latin-1', '{"url":"http://127.0.0.1:1/a","headers":{"x":"\u20ac"}}', 'headers.x'],
    ['a weight beyond numbers', '{"url":"http://127.0.0.1:1/a","weight":1e400}', 'weight'],
    ['NaN', '{"url":"http://127.0.0.1:1/a","weight":NaN}', 'body'],
    ['__proto__', '{"url":"http://127.0.0.1:1/a","__proto__":{"weight":5}}', '__proto__'],
    ['a url of no host', '{"url":"http://"}', 'url'],
    ['a file', '{"url":"file:///etc/passwd"}', 'url'],
    ['another protocol', '{"url":"gopher://127.0.0.1:6379/x"}', 'url'],
    ['nesting', '['.repeat(1_000_000), 'body'],
  ])('of %s is refused', async (_, body, field) => {
    const reply = await fleet.gateway.send('/admin/nodes', { method: 'POST', headers: authorised(), body });
    expect([reply.status, json<{ field: string }>(reply).field]).toEqual([
      400,
      expect.stringContaining(field),
    ]);
  });

  it('that is no UTF-8 is refused', async () => {
    const body = Buffer.from('{"url":"http://127.0.0.1:1/a","name":"\xff"}', 'latin1');
    const reply = await fleet.gateway.send('/admin/nodes', { method: 'POST', headers: authorised(), body });
    expect(reply.status).toBe(400);
  });

  it('with labels called __proto__ and constructor changes nothing but itself', async () => {
    const body = '{"url":"http://127.0.0.1:1/proto","labels":{"__proto__":"x","constructor":"y"}}';
    const reply = await fleet.gateway.send('/admin/nodes', { method: 'POST', headers: authorised(), body });
    expect(reply.status).toBe(201);
    expect(json(reply)).toMatchObject({ labels: { constructor: 'y' } });
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });
});
