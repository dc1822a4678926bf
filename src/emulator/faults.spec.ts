import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { request } from 'undici';
import { EmulatedNode } from './emulated-node.js';
import type { FaultSettings } from './faults.js';

let node: EmulatedNode;

beforeEach(async () => {
  node = await EmulatedNode.start({ rateLimit: false });
});
afterEach(() => node.stop());

const ECHO = '{"containers":["echo"],"data":{},"id":"a"}';

async function call(method: 'GET' | 'POST' | 'PUT', path: string, body?: string) {
  const headers = { 'content-type': 'application/json' };
  const reply = await request(node.url + path, { method, body, headers, reset: true });
  return { status: reply.statusCode, text: await reply.body.text() };
}

const submit = (body = ECHO) => call('POST', '/api/jobs', body);

async function row(id = 'a'): Promise<string> {
  await node.idle();
  return (await call('GET', `/api/jobs?id=${id}`)).text;
}

describe('faults of connections', () => {
  it('refuse: nothing listens, until it is switched off', async () => {
    await node.faults.set({ refuse: true });
    await expect(submit()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await node.faults.clear();
    expect(await submit()).toMatchObject({ status: 200 });
  });

  it('resetBeforeAccept: nothing is stored; only the next submission is struck', async () => {
    await node.faults.set({ resetBeforeAccept: { times: 1 } });
    expect(await call('GET', '/health')).toMatchObject({ status: 200 });
    await expect(submit()).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(await row()).toBe('[]\n');
    expect(await submit()).toMatchObject({ status: 200 });
  });

  it.each<[string, FaultSettings]>([
    ['resetAfterAccept', { resetAfterAccept: true }],
    ['loseAnswer with close', { loseAnswer: { close: true } }],
  ])('%s: the job runs, the caller learns nothing', async (_name, faults) => {
    await node.faults.set(faults);
    await expect(submit()).rejects.toThrow();
    expect(await row()).toContain('"status":"success"');
  });

  it.each<[string, FaultSettings, number]>([
    ['hang', { hang: { path: '/api/jobs', method: 'POST' } }, 0],
    ['loseAnswer', { loseAnswer: true }, 1],
  ])('%s: no answer', async (_name, faults, executions) => {
    await node.faults.set(faults);
    const abort = new AbortController();
    const headers = { 'content-type': 'application/json' };
    const options = { method: 'POST', body: ECHO, headers, signal: abort.signal } as const;
    const answer = request(`${node.url}/api/jobs`, options);
    await once(node.events, 'received');
    expect(await call('GET', '/health')).toMatchObject({ status: 200 });
    abort.abort();
    await expect(answer).rejects.toThrow();
    await node.idle();
    expect(node.executions).toHaveLength(executions);
  });

  it('frozen: everything waits, and goes on afterwards', async () => {
    await node.faults.set({ frozen: true });
    const answer = submit();
    await once(node.events, 'received');
    expect(node.executions).toHaveLength(0);
    await node.faults.set({ frozen: false });
    expect(await answer).toMatchObject({ status: 200 });
  });
});

describe('faults of the node', () => {
  it.each<[string, FaultSettings, RegExp]>([
    ['error500Json', { error500Json: { times: 1 } }, /^\{"error":/],
    ['error500Html', { error500Html: { times: 1 } }, /^<!doctype html>/],
  ])('%s: refuses a submission before it runs', async (_name, faults, text) => {
    await node.faults.set(faults);
    expect(await submit()).toEqual({ status: 500, text: expect.stringMatching(text) as string });
    expect(await row()).toBe('[]\n');
  });

  it('redisLess: healthy, accepts jobs and drops them', async () => {
    await node.faults.set({ redisLess: true });
    expect((await submit()).text).toBe('{"id":"a"}\n');
    expect((await call('POST', '/api/jobs/batch', `[${ECHO}]`)).text).toBe('[{"id":"a"}]\n');
    expect(await call('GET', '/health')).toMatchObject({ status: 200 });
    expect((await call('GET', '/info')).text).toMatch(/^<!doctype html>/);
    expect(await call('GET', '/api/jobs?id=a')).toMatchObject({ status: 500 });
    await node.faults.clear();
    expect(await row()).toBe('[]\n');
  });

  it('losePending and evictResults: rows vanish', async () => {
    await submit();
    await node.idle();
    await node.faults.set({ evictResults: true });
    await submit('{"containers":["delay"],"data":{"seconds":60}}');
    await node.faults.set({ losePending: true });
    expect((await call('GET', '/api/jobs')).text).toBe('[]\n');
  });
});

describe('faults of containers', () => {
  it.each<[string, FaultSettings, string]>([
    ['failFast', { failFast: { text: 'boom' } }, '"error":"boom"},"status":"failed"'],
    ['infrastructure', { infrastructure: 'timeout' }, '"error":""},"status":"failed"'],
    ['infrastructure of another text', { infrastructure: 'odd' }, '"error":"odd"},"status":"failed"'],
    ['falseSuccess', { falseSuccess: true }, '"output":{"code":500,"name":"Internal Server Error",'],
  ])('%s', async (_name, faults, text) => {
    await node.faults.set(faults);
    await submit();
    expect(await row()).toContain(text);
  });

  it('slow: multiplies service times, of the container named', async () => {
    await node.faults.set({ slow: { factor: 30, container: 'delay' } });
    await submit('{"containers":["delay"],"data":{"ms":1}}');
    await node.idle();
    const [execution] = node.executions;
    expect((execution?.finishedAt ?? 0) - (execution?.startedAt ?? 0)).toBeGreaterThanOrEqual(28);
  });

  it('breaks a stream halfway with a clean end', async () => {
    await node.faults.set({ failFast: { text: 'gone' } });
    const body = '{"containers":["openai-inference-streaming-0.0.1"],"data":{},"id":"s"}';
    const { text } = await call('POST', '/api/jobs/stream', body);
    expect(text).toMatch(/^s\nTo make pizza/);
    expect(await row('s')).toContain('"error":"gone"},"status":"failed"');
  });
});

describe('the control surface', () => {
  it('switches faults while the node hangs', async () => {
    const faults = '{"hang":true,"slow":{"factor":2}}';
    expect(await call('PUT', '/__emulator/faults', faults)).toMatchObject({ status: 200 });
    const state = JSON.parse((await call('GET', '/__emulator/state')).text) as object;
    expect(state).toMatchObject({ faults: { hang: {}, slow: { factor: 2 } }, pending: 0 });
    await call('PUT', '/__emulator/faults', '{}');
    expect(await submit()).toMatchObject({ status: 200 });
  });

  it('refuses unknown faults and leaves the others alone', async () => {
    await node.faults.set({ redisLess: true });
    expect((await call('PUT', '/__emulator/faults', '{"hangs":true}')).text).toContain('unknown fault');
    expect(node.faults.active).toHaveProperty('redisLess');
  });

  it('shows executions and requests, and restarts the node', async () => {
    await submit();
    await node.idle();
    expect(JSON.parse((await call('GET', '/__emulator/executions')).text)).toMatchObject([{ jobId: 'a' }]);
    expect(JSON.parse((await call('GET', '/__emulator/received?last=1')).text)).toMatchObject([
      { method: 'POST', path: '/api/jobs', bodyBase64: Buffer.from(ECHO).toString('base64') },
    ]);
    expect(await call('POST', '/__emulator/restart', '{"downMs":0}')).toMatchObject({ status: 202 });
  });
});
