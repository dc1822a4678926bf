import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Client, request } from 'undici';
import { EmulatedNode } from './emulated-node.js';
import type { Execution } from './execution-log.js';

let node: EmulatedNode;

afterEach(() => node.stop());

async function submit(containers: string, data: string): Promise<string> {
  const reply = await request(`${node.url}/api/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"containers":["${containers}"],"data":${data}}`,
    reset: true,
  });
  return ((await reply.body.json()) as { id: string }).id;
}

async function get(path: string): Promise<string> {
  return (await request(node.url + path, { reset: true })).body.text();
}

describe('a restart', () => {
  it('loses running jobs, keeps results and the execution log, and takes the same port', async () => {
    node = await EmulatedNode.start({ rateLimit: false, slots: 2 });
    const { url } = node;
    const done = await submit('echo', '{}');
    await node.idle();
    const lost = await submit('delay', '{"seconds":60}');
    await node.restart({ downMs: 1 });
    expect(node.url).toBe(url);
    expect(await get(`/api/jobs?id=${lost}`)).toBe('[]\n');
    expect(await get(`/api/jobs?id=${done}`)).toContain('"status":"success"');
    expect(node.executions.map(({ outcome }) => outcome)).toEqual(['success', 'lost']);
    expect(node.load).toMatchObject({ pending: 0, busySlots: 0 });
  });

  it('does not start what waited for a slot', async () => {
    node = await EmulatedNode.start({ rateLimit: false, slots: 1 });
    await submit('delay', '{"seconds":60}');
    await submit('delay', '{"seconds":60}');
    await node.restart();
    expect(node.executions).toHaveLength(1);
    expect(node.load).toMatchObject({ queued: 0, busySlots: 0 });
  });

  it('revives a killed node', async () => {
    node = await EmulatedNode.start({ rateLimit: false });
    await node.faults.set({ hang: true });
    const pending = request(`${node.url}/health`).then(
      () => 'answered',
      (error: NodeJS.ErrnoException) => error.code,
    );
    await once(node.events, 'received');
    node.kill();
    expect(await pending).toBe('ECONNRESET');
    await expect(request(`${node.url}/health`)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await node.faults.clear();
    await node.restart();
    expect(await get('/health')).toBe('{"status":"healthy"}\n');
  });
});

describe('records', () => {
  it('keeps requests with their exact bytes', async () => {
    node = await EmulatedNode.start({ rateLimit: false });
    await submit('echo', '{"a": 1.0}');
    const [received] = node.received;
    expect(received).toMatchObject({ method: 'POST', path: '/api/jobs' });
    expect(received?.body.toString()).toBe('{"containers":["echo"],"data":{"a": 1.0}}');
  });

  it('appends executions to a file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'emulator-'));
    try {
      const executionLog = join(folder, 'executions.jsonl');
      node = await EmulatedNode.start({ rateLimit: false, executionLog, name: 'logged' });
      const jobId = await submit('echo', '{}');
      await submit('delay', '{"seconds":60}');
      await node.stop();
      const lines = readFileSync(executionLog, 'utf8').trim().split('\n');
      expect(lines.map((line) => JSON.parse(line) as Execution)).toMatchObject([
        { jobId, node: 'logged', container: 'echo', outcome: 'success' },
        { container: 'delay', outcome: 'lost' },
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('connections', () => {
  it('end unannounced after their last request', async () => {
    node = await EmulatedNode.start({ rateLimit: false, requestsPerConnection: 2 });
    const client = new Client(node.url);
    const ended = once(client, 'disconnect');
    for (const _ of [1, 2]) {
      const reply = await client.request({ method: 'GET', path: '/health' });
      expect(reply.headers).not.toHaveProperty('connection');
      expect(reply.headers).not.toHaveProperty('keep-alive');
      await reply.body.dump();
    }
    await ended;
    await client.close();
  });

  it('stall when they are reused', async () => {
    node = await EmulatedNode.start({ rateLimit: false, stallReusedMs: 40 });
    const client = new Client(node.url);
    const times: number[] = [];
    for (const _ of [1, 2]) {
      const start = performance.now();
      await (await client.request({ method: 'GET', path: '/health' })).body.dump();
      times.push(performance.now() - start);
    }
    expect(times[1]).toBeGreaterThan(35);
    await client.close();
  });

  it('share the processor time of the node', async () => {
    node = await EmulatedNode.start({ rateLimit: false, requestCostMs: 5 });
    const start = performance.now();
    await Promise.all(Array.from({ length: 8 }, () => get('/health')));
    expect(performance.now() - start).toBeGreaterThan(38);
  });
});
