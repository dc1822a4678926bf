import { once } from 'node:events';
import { connect } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { request } from 'undici';
import { oldDelegatedBody } from './delegated.fixture.js';
import { EmulatedNode } from './emulated-node.js';

let node: EmulatedNode;

beforeEach(async () => {
  node = await EmulatedNode.start({
    name: 'n',
    rateLimit: false,
    allowedAddresses: { prover: ['10.0.0.1'] },
  });
});
afterEach(() => node.stop());

const JSON_TYPE = { 'content-type': 'application/json' };

async function call(method: 'GET' | 'POST' | 'PUT', path: string, body?: string, headers = JSON_TYPE) {
  const reply = await request(node.url + path, { method, body, headers, reset: true });
  return { status: reply.statusCode, type: reply.headers['content-type'], text: await reply.body.text() };
}

async function submit(body: string): Promise<string> {
  return (JSON.parse((await call('POST', '/api/jobs', body)).text) as { id: string }).id;
}

async function row(id: string): Promise<string> {
  await node.idle();
  return (await call('GET', `/api/jobs?id=${id}`)).text;
}

describe('health, info and resources', () => {
  it('says healthy, in compact JSON with a line feed', async () => {
    expect(await call('GET', '/health')).toEqual({
      status: 200,
      type: 'application/json',
      text: '{"status":"healthy"}\n',
    });
  });

  it('lists containers with sorted keys and counts pending jobs of all callers', async () => {
    await submit('{"containers":["delay"],"data":{"seconds":60},"ip":"9.9.9.9"}');
    const { text } = await call('GET', '/info');
    expect(text).toMatch(/^\{"chain":\{"address":"","enabled":false\},"containers":\[\{"description":/);
    expect(text).toMatch(/"pending":\{"offchain":1,"onchain":0\},"version":"1\.4\.0"\}\n$/);
    expect(text).toContain('"external":false,"id":"internal"');
  });

  it('answers which containers support a model', async () => {
    const { text } = await call('GET', '/resources?model_id=gpt-3.5-turbo-16k');
    expect(JSON.parse(text)).toMatchObject({
      'openai-inference-0.0.1': { supported: true },
      echo: { supported: false },
    });
  });

  it('answers unrouted paths and methods with HTML', async () => {
    expect(await call('GET', '/health/')).toMatchObject({ status: 404, type: 'text/html; charset=utf-8' });
    expect(await call('PUT', '/api/jobs', '{}')).toMatchObject({ status: 405 });
  });
});

describe('jobs', () => {
  it('passes data through byte by byte', async () => {
    const data = `{"b":${2n ** 256n - 1n}, "a":1.0,"a":1e400,"x":[NaN,-Infinity],"s":"\\ud800"}`;
    const id = await submit(`{"data":${data},"containers":["echo"]}`);
    expect(await row(id)).toBe(
      `[{"id":"${id}","result":{"container":"echo","output":${data}},"status":"success"}]\n`,
    );
  });

  it('feeds each output to the next container and shows the ones between on request', async () => {
    const id = await submit('{"containers":["step-one","internal","step-two"],"data":{"a":1}}');
    const one = '{"step":"one","input":{"a":1}}';
    expect(await row(`${id}&intermediate=true`)).toBe(
      `[{"id":"${id}","intermediate_results":[{"container":"step-one","output":${one}},` +
        `{"container":"internal","output":${one}}],` +
        `"result":{"container":"step-two","output":{"step":"two","input":${one}}},"status":"success"}]\n`,
    );
    expect(await row(`${id}&intermediate=True`)).not.toContain('intermediate');
  });

  it('ends a chain at the container that fails', async () => {
    const id = await submit('{"containers":["echo","always-fails","echo"],"data":{}}');
    expect(await row(id)).toContain('"result":{"container":"always-fails","error":"ValueError: ');
    expect(node.executions.map(({ container, outcome }) => [container, outcome])).toEqual([
      ['echo', 'success'],
      ['always-fails', 'failed'],
    ]);
  });

  it('lets the body choose id and address', async () => {
    expect(await submit('{"containers":["echo"],"data":{},"id":"mine"}')).toBe('mine');
    await submit('{"containers":["echo"],"data":{},"id":"theirs","ip":"9.9.9.9"}');
    expect(await row('mine')).toContain('"status":"success"');
    expect(await row('theirs')).toBe('[]\n');
  });

  it.each([
    ['{"containers":[],"data":{}}', 'No containers specified', {}],
    ['{"containers":["nope","internal"],"data":{}}', 'Container not supported', { container: 'nope' }],
    [
      '{"containers":["internal"],"data":{}}',
      'First container must be external',
      { first_container: 'internal' },
    ],
    [
      '{"containers":["prover","echo"],"data":{},"requires_proof":true}',
      'Container does not generate proof',
      { container: 'echo' },
    ],
    [
      '{"containers":["echo","prover"],"data":{},"requires_proof":true}',
      'Container not allowed for address',
      { address: '127.0.0.1', container: 'prover' },
    ],
  ])('refuses %s', async (body, error, params) => {
    const reply = await call('POST', '/api/jobs', body);
    expect([reply.status, JSON.parse(reply.text)]).toEqual([405, { error, params }]);
  });

  it('is fooled by an address in the body', async () => {
    expect(await submit('{"containers":["prover"],"data":{},"ip":"10.0.0.1","id":"p"}')).toBe('p');
  });

  it.each([
    '',
    '{',
    '[]',
    '{"containers":["echo"]}',
    '{"containers":"echo","data":{}}',
    '{"data":{},"containers":[1]}',
  ])('answers the malformed body %j with 500', async (body) => {
    const reply = await call('POST', '/api/jobs', body);
    expect(reply.status).toBe(500);
    expect(reply.text).toMatch(/^\{"error":"Internal server error: /);
  });

  it('answers type and a foreign content type with 500', async () => {
    const body = '{"containers":["echo"],"data":{}}';
    const typed = await call('POST', '/api/jobs', '{"containers":["echo"],"data":{},"type":1}');
    const foreign = await call('POST', '/api/jobs', body, { 'content-type': 'text/plain' });
    const vendor = await call('POST', '/api/jobs', body, { 'content-type': 'application/x+json; a=b' });
    expect([typed.status, foreign.status, vendor.status]).toEqual([500, 500, 200]);
  });

  it('accepts 16 MiB and not a byte more', async () => {
    const body = '{"containers":["echo"],"data":{}}';
    expect((await call('POST', '/api/jobs', body.padEnd(16_777_216))).status).toBe(200);
    // The refusal comes before the body is read, so that the sender may see either.
    const refused = await call('POST', '/api/jobs', body.padEnd(16_777_217)).catch(() => ({ status: 500 }));
    expect(refused.status).toBe(500);
    expect(node.executions).toHaveLength(1);
  });
});

describe('batches', () => {
  it('answers each item in order, whatever the content type', async () => {
    const reply = await call(
      'POST',
      '/api/jobs/batch',
      '[{"containers":["echo"],"data":{},"id":"a"},{"containers":["x"],"data":{}}]',
      { 'content-type': 'text/plain' },
    );
    expect(reply.text).toBe('[{"id":"a"},{"error":"Container not supported","params":{"container":"x"}}]\n');
    expect((await call('POST', '/api/jobs/batch', '[]')).text).toBe('[]\n');
    expect(await call('POST', '/api/jobs/batch', '{}')).toMatchObject({ status: 400 });
  });

  it('starts nothing when an item is malformed', async () => {
    const good = '{"containers":["echo"],"data":{}}';
    expect((await call('POST', '/api/jobs/batch', `[${good},7]`)).text).toMatch(
      /^\{"error":"Could not enqueue job: {2}/,
    );
    expect(node.executions).toHaveLength(0);
  });
});

describe('results', () => {
  it('puts completed rows first, repeats duplicates and omits unknown ids', async () => {
    await submit('{"containers":["delay"],"data":{"seconds":60},"id":"slow"}');
    const finished = once(node.events, 'finished');
    await submit('{"containers":["echo"],"data":{},"id":"fast"}');
    await finished;
    const { text } = await call('GET', '/api/jobs?id=slow&id=none&id=fast&id=slow');
    expect((JSON.parse(text) as { id: string }[]).map(({ id }) => id)).toEqual(['fast', 'slow', 'slow']);
    expect(text).toContain('{"id":"slow","result":null,"status":"running"}');
    expect((await call('GET', '/api/jobs?pending=true')).text).toBe('["slow"]\n');
    expect((await call('GET', '/api/jobs?pending=false')).text).toBe('["fast"]\n');
    expect((await call('GET', '/api/jobs?pending=no')).text).toBe('["slow","fast"]\n');
  });

  it('erases a result when its status is stored', async () => {
    const id = await submit('{"containers":["echo"],"data":{}}');
    await node.idle();
    const body = JSON.stringify({ id, status: 'failed', containers: [], data: {} });
    expect((await call('PUT', '/api/status', body)).text).toBe('null\n');
    expect(await row(id)).toBe(`[{"id":"${id}","result":null,"status":"failed"}]\n`);
    expect((await call('PUT', '/api/status', '{"id":"a","status":"odd","containers":[]}')).status).toBe(400);
    expect((await call('PUT', '/api/status', '{}')).status).toBe(500);
  });

  it('answers scripted bytes exactly', async () => {
    const bytes = Buffer.from(`"${'x'.repeat(10 * 1024 * 1024)}"`);
    node.respondWith('echo', bytes);
    const id = await submit('{"containers":["echo"],"data":{}}');
    expect((await row(id)).includes(bytes.toString())).toBe(true);
    node.respondWith('GET /api/jobs', '<oops', { status: 502, contentType: 'text/html' });
    expect(await call('GET', '/api/jobs')).toEqual({ status: 502, type: 'text/html', text: '<oops' });
  });
});

describe('streams', () => {
  it('sends the id in a chunk of its own, then the text, and stores the whole', async () => {
    await node.stop();
    node = await EmulatedNode.start({ rateLimit: false, serviceMs: 20 });
    const body = '{"containers":["openai-inference-streaming-0.0.1"],"data":{},"id":"s"}';
    const socket = connect(node.port, '127.0.0.1');
    socket.write(
      'POST /api/jobs/stream HTTP/1.1\r\nhost: n\r\nconnection: close\r\ncontent-type: application/json\r\n' +
        `content-length: ${body.length}\r\n\r\n${body}`,
    );
    const [head = '', chunks = ''] = (await textOf(socket)).split(/\r\n\r\n(.*)/s);
    expect(head).toContain('content-type: text/html; charset=utf-8');
    expect(chunks).toMatch(/^2\r\ns\n\r\n3\r\nTo \r\n5\r\nmake \r\n/);
    expect(chunks).toMatch(/\r\n0\r\n\r\n$/);
    const [stored] = JSON.parse(await row('s')) as { result: { output: { output: string } } }[];
    expect(stored?.result.output.output).toMatch(/^To make pizza.* brown\.$/);
  });

  it('ends cleanly when the container fails', async () => {
    const { status, text } = await call(
      'POST',
      '/api/jobs/stream',
      '{"containers":["always-fails"],"data":{}}',
    );
    expect(status).toBe(200);
    expect(await row(text.trim())).toContain('"status":"failed"');
  });
});

describe('streams that do not end well', () => {
  const start = (body: string): ReturnType<typeof connect> => {
    const socket = connect(node.port, '127.0.0.1');
    socket.write(
      'POST /api/jobs/stream HTTP/1.1\r\nhost: n\r\nconnection: close\r\ncontent-type: application/json\r\n' +
        `content-length: ${body.length}\r\n\r\n${body}`,
    );
    return socket;
  };

  it('cuts a stream that takes too long, without the final chunk, and leaves its row running', async () => {
    await node.stop();
    node = await EmulatedNode.start({ rateLimit: false, streamTimeoutMs: 60 });
    const data = '{"count":100,"size":4,"interval_ms":20}';
    const text = await textOf(start(`{"containers":["pieces"],"data":${data},"id":"s"}`));
    expect(text).toMatch(/\r\n2\r\ns\n\r\n4\r\nstre\r\n/);
    expect(text).not.toMatch(/\r\n0\r\n\r\n$/);
    expect(await row('s')).toContain('"status":"running"');
  });

  it('ends cleanly when the container breaks halfway, with a failed row', async () => {
    const data = '{"count":5,"size":4,"fail_after":2}';
    const text = await textOf(start(`{"containers":["pieces"],"data":${data},"id":"s"}`));
    expect(text.match(/4\r\nstre\r\n/g)).toHaveLength(2);
    expect(text).toMatch(/\r\n0\r\n\r\n$/);
    expect(await row('s')).toContain('"status":"failed"');
  });

  it('gives the slot back when the caller goes away, and leaves the row running', async () => {
    const socket = start('{"containers":["pieces"],"data":{"count":1000,"interval_ms":60},"id":"s"}');
    await once(socket, 'data');
    expect(node.load.busySlots).toBe(1);
    socket.destroy();
    await node.idle();
    expect(node.load).toMatchObject({ busySlots: 0, pending: 1 });
  });

  it('does not write faster than the caller reads', async () => {
    const size = 65_536;
    const socket = start(`{"containers":["pieces"],"data":{"count":640,"size":${size}},"id":"s"}`);
    await once(socket, 'data');
    socket.pause();
    expect((await call('GET', '/api/jobs?id=s')).text).toContain('"status":"running"');
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => (bytes += chunk.length)).resume();
    await once(socket, 'end');
    expect(bytes).toBeGreaterThan(639 * size);
    expect((await row('s')).includes('"status":"success"')).toBe(true);
  });
});

describe('capacity', () => {
  it('queues in order of arrival beyond its slots', async () => {
    await node.stop();
    node = await EmulatedNode.start({ rateLimit: false, slots: 1, speed: 2, serviceMs: 10 });
    const item = (id: string, container: string): string =>
      `{"containers":["${container}"],"data":{"seconds":60},"id":"${id}"}`;
    const batch = (container: string): string =>
      `[${['a', 'b', 'c'].map((id) => item(id, container)).join(',')}]`;
    await call('POST', '/api/jobs/batch', batch('echo'));
    await node.idle();
    expect(node.executions.map(({ jobId }) => jobId)).toEqual(['a', 'b', 'c']);
    const [first, second] = node.executions;
    expect(second?.startedAt).toBeGreaterThan(first?.startedAt ?? Infinity);
    await call('POST', '/api/jobs/batch', batch('delay'));
    expect(node.load).toMatchObject({ busySlots: 1, queued: 2, pending: 3 });
  });

  it('fails a job with an empty error when a container takes too long', async () => {
    await node.stop();
    node = await EmulatedNode.start({ rateLimit: false, containerTimeoutMs: 10 });
    const id = await submit('{"containers":["delay"],"data":{"seconds":60}}');
    expect(await row(id)).toContain('"result":{"container":"delay","error":""},"status":"failed"');
  });
});

describe('older versions', () => {
  it('0.2.0 tells its chain in two places, has no limiter, and neither streams nor resources', async () => {
    await node.stop();
    node = await EmulatedNode.start({ apiVersion: '0.2.0', chainAddress: '0xabc' });
    const { text } = await call('GET', '/info');
    expect(Object.keys(JSON.parse(text) as object)).toEqual(['containers', 'pending']);
    expect((await call('GET', '/api/chain/enabled')).text).toBe('{"enabled":true}\n');
    expect((await call('GET', '/api/chain/address')).text).toBe('{"address":"0xabc"}\n');
    const job = '{"containers":["echo"],"data":{}}';
    expect((await call('POST', '/api/jobs/stream', job)).status).toBe(404);
    expect((await call('GET', '/resources')).status).toBe(404);
    const reply = await request(`${node.url}/health`);
    expect(reply.headers).not.toHaveProperty('ratelimit-limit');
    await reply.body.dump();
    const delegated = await oldDelegatedBody();
    expect(JSON.parse((await call('POST', '/api/jobs', delegated)).text)).toHaveProperty('id');
    expect((await call('POST', '/api/jobs/batch', `[${delegated}]`)).text).toBe('[]\n');
    const proof = '{"containers":["echo"],"data":{},"requires_proof":true}';
    expect((await call('POST', '/api/jobs', proof, { 'content-type': 'text/plain' })).status).toBe(200);
  });

  it('1.3.0 has streams but no resources', async () => {
    await node.stop();
    node = await EmulatedNode.start({ apiVersion: '1.3.0' });
    expect((await call('GET', '/info')).text).toContain('"version":"1.3.0"');
    expect((await call('GET', '/resources')).status).toBe(404);
    expect((await call('POST', '/api/jobs/stream', '{"containers":["echo"],"data":{}}')).status).toBe(200);
    expect((await call('GET', '/api/chain/enabled')).status).toBe(404);
  });

  it('1.4.0 keeps the limiter', async () => {
    await node.stop();
    node = await EmulatedNode.start();
    const reply = await request(`${node.url}/health`);
    expect(reply.headers).toHaveProperty('ratelimit-limit', '60');
    await reply.body.dump();
  });
});
