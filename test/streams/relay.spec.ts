import { afterEach, describe, expect, it } from 'vitest';

import { delegatedBody } from '../../src/emulator/delegated.fixture.js';
import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { jobView, QUICK, storyOf } from '../support/recovery.js';
import { StreamCaller } from '../support/stream-caller.js';
import { waitUntil } from '../support/wait.js';

let fleet: TestFleet;

async function start(options: Parameters<typeof startTestGateway>[0] = {}): Promise<void> {
  fleet = await startTestGateway({ ...options, settings: { ...QUICK, ...options.settings } });
}
const stream = (data: object, headers?: Record<string, string>): StreamCaller =>
  StreamCaller.start(fleet.gateway.url, ['pieces'], data, headers);
const node = (index = 0): EmulatedNode => fleet.nodes[index] as EmulatedNode;

/** The row of a stream and its attempts, once it has ended. */
async function outcome(id: string): Promise<{ status: string; error: string | undefined; story: string[] }> {
  const [row] = await fleet.gateway.finished([id]);
  const story = storyOf(await jobView(fleet.gateway, id), fleet.registered);
  return { status: row?.status ?? '', error: row?.result?.error, story };
}

/** Whether nothing of ours is counted on any node. */
async function nodesAreFree(): Promise<void> {
  await waitUntil('no place is taken', async () =>
    (await fleet.gateway.nodes()).every(({ inFlight }) => inFlight === 0),
  );
}

afterEach(() => fleet.stop());

describe('a stream that goes well', () => {
  it('gives status and id in one read of their own, then the output, then the final chunk', async () => {
    await start();
    const caller = stream({ count: 3, size: 4, interval_ms: 300 });
    await caller.nextRead();
    // Nothing has come of the container yet, so this is the read that the official client takes for the id.
    expect(caller.reads[0]?.bytes.toString()).toMatch(
      /^HTTP\/1\.1 200 .*\r\n\r\n25\r\n[0-9a-f-]{36}\n\r\n$/s,
    );
    expect(caller.chunks).toEqual([`${caller.id}\n`]);
    expect(await caller.ended).toBe(true);
    expect(caller.header('content-type')).toBe('text/html; charset=utf-8');
    expect(caller.header('x-accel-buffering')).toBe('no');
    expect(caller.output).toBe('strestrestre');
    const [row] = await fleet.gateway.rows([caller.id]);
    expect(row).toEqual({
      id: caller.id,
      status: 'success',
      result: { container: 'pieces', output: { output: 'strestrestre' } },
    });
    expect(await jobView(fleet.gateway, caller.id)).toMatchObject({
      kind: 'stream',
      state: 'succeeded',
      attempts: [{ state: 'succeeded', nodeJobId: caller.id }],
    });
    await nodesAreFree();
  });

  it('lets an output follow the id that was there before it, in a chunk of its own', async () => {
    await start();
    const caller = stream({ count: 1 });
    expect(await caller.ended).toBe(true);
    expect(caller.chunks).toEqual([`${caller.id}\n`, 'stream. ']);
  });

  it('keeps the beginning of a long output and says that it did', async () => {
    await start({ settings: { STREAM_OUTPUT_BYTES: '20' } });
    const caller = stream({ count: 100, size: 8 });
    expect(await caller.ended).toBe(true);
    expect(caller.output).toBe('stream. '.repeat(100));
    const [row] = await fleet.gateway.rows([caller.id]);
    const output = { output: 'stream. stream. stre', truncated: true, bytes: 800 };
    expect(row).toMatchObject({ status: 'success', result: { container: 'pieces', output } });
  });

  it('keeps all of an output that is short in UTF-8, however long the row of the node is', async () => {
    await start({ settings: { STREAM_OUTPUT_BYTES: '100000' } });
    // The node writes six bytes for each of these characters of two.
    const data = { text: 'ж'.repeat(40_000) };
    const caller = StreamCaller.start(fleet.gateway.url, ['echo'], data);
    expect(await caller.ended).toBe(true);
    const [row] = await fleet.gateway.rows([caller.id]);
    expect(row).toEqual({
      id: caller.id,
      status: 'success',
      result: { container: 'echo', output: { output: JSON.stringify(data) } },
    });
  });

  it('shows each caller to the node by its own address, whatever it claims', async () => {
    await start();
    const caller = stream({ count: 1 }, { 'x-forwarded-for': '9.9.9.9' });
    await caller.ended;
    const seen = node().received.filter(({ path }) => path === '/api/jobs/stream');
    expect(seen.map(({ headers }) => headers['x-forwarded-for'])).toEqual(['127.0.0.1']);
    expect(seen[0]?.body.toString()).toMatch(/^\{"id":"[0-9a-f-]{36}","containers":\["pieces"\],"data":/);
  });
});

describe('a stream that breaks after output has gone out', () => {
  it('is cut when the container fails, with the text of the failure in the row', async () => {
    await start();
    const caller = stream({ count: 5, size: 4, fail_after: 2 });
    expect(await caller.ended).toBe(false);
    expect(caller.output).toBe('strestre');
    expect(await outcome(caller.id)).toEqual({
      status: 'failed',
      error: 'RuntimeError: broke after 2 pieces',
      story: ['0 failed'],
    });
    await nodesAreFree();
  });

  it('is cut when the node is killed', async () => {
    await start({ nodes: [{}, {}] });
    const caller = stream({ count: 100, size: 4, interval_ms: 50 });
    await waitUntil('output', () => caller.output.length > 0);
    const index = fleet.nodes.findIndex(({ load }) => load.busySlots > 0);
    node(index).kill();
    expect(await caller.ended).toBe(false);
    const { status, error, story } = await outcome(caller.id);
    expect({ status, story }).toEqual({ status: 'failed', story: [`${index} lost`] });
    expect(error).toMatch(/^The connection to the node broke after/);
  });

  it("is cut when the node's time is up, and the row calls it that", async () => {
    await start({ nodes: [{ streamTimeoutMs: 500 }] });
    const caller = stream({ count: 100, size: 4, interval_ms: 50 });
    expect(await caller.ended).toBe(false);
    expect(caller.output.length).toBeGreaterThan(0);
    const { status, error, story } = await outcome(caller.id);
    expect({ status, story }).toEqual({ status: 'failed', story: ['0 lost'] });
    expect(error).toMatch(/^The node cut the stream after 0\.\d s/);
    await nodesAreFree();
  });

  it('is cut when the node does not say how it ended, and the collector finds out', async () => {
    await start();
    await node().faults.set({ error500Html: { method: 'GET', path: '/api/jobs', times: 6 } });
    const caller = stream({ count: 10, size: 4, interval_ms: 50 });
    expect(await caller.ended).toBe(false);
    expect(caller.output).toBe('stre'.repeat(10));
    expect(await outcome(caller.id)).toMatchObject({ status: 'success', story: ['0 succeeded'] });
    await nodesAreFree();
  });

  it('ends with the connection when an operator cancels it', async () => {
    await start();
    const caller = stream({ count: 1_000, interval_ms: 50 });
    await waitUntil('output', () => caller.output.length > 0);
    expect((await fleet.gateway.admin('POST', `/jobs/${caller.id}/cancel`)).status).toBe(200);
    expect(await caller.ended).toBe(false);
    expect((await outcome(caller.id)).error).toBe('The job was cancelled by an operator');
    const retried = await fleet.gateway.admin('POST', `/jobs/${caller.id}/retry`);
    expect(retried.status).toBe(409);
    expect(retried.text).toContain('A stream is not run again');
    await nodesAreFree();
    await node().idle();
  });
});

describe('the caller of a stream', () => {
  it('goes away: the node is let go, and nobody is blamed', async () => {
    await start();
    const caller = stream({ count: 1_000, interval_ms: 50 });
    await waitUntil('output', () => caller.output.length > 0);
    caller.leave();
    expect(await outcome(caller.id)).toEqual({
      status: 'failed',
      error: 'The caller went away before the stream had ended',
      story: ['0 failed'],
    });
    await node().idle();
    await nodesAreFree();
    expect(await stream({ count: 1 }).ended).toBe(true);
  });

  it('takes nothing: it is cut off, and the node let go', async () => {
    await start({ settings: { STREAM_STALL_MS: '500' } });
    const caller = stream({ count: 1_000, size: 65_536 });
    await caller.nextRead();
    const { id } = caller;
    caller.pause();
    expect(await outcome(id)).toEqual({
      status: 'failed',
      error: 'The caller read too slowly',
      story: ['0 failed'],
    });
    await node().idle();
    await nodesAreFree();
  });

  it('is slow for a while: the node is made to wait, and all arrives', async () => {
    await start({ settings: { STREAM_STALL_MS: '30000' } });
    const size = 65_536;
    const caller = stream({ count: 640, size });
    await caller.nextRead();
    caller.pause();
    // The node stands with most of it unsent: had the gateway read on, the node's row would have ended.
    await waitUntil('the caller is waited for', () => node().load.pending === 1);
    let before = -1;
    await waitUntil('nothing moves any more', async () => {
      const { rss } = process.memoryUsage();
      const still = Math.abs(rss - before) < 1_000_000;
      before = rss;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return still;
    });
    expect(node().load).toMatchObject({ pending: 1, completed: 0 });
    caller.resume();
    expect(await caller.ended).toBe(true);
    expect(caller.output.length).toBe(640 * size);
  });
});

describe('a stream of which nothing has gone out yet', () => {
  const BOTH = { nodes: [{}, {}], settings: { DISPATCH_POLICY: 'round-robin' } };

  it.each([
    ['resetBeforeAccept', true],
    ['resetAfterAccept', true],
    ['error500Html', true],
    ['error500Json', true],
    ['infrastructure', 'server-disconnected'],
  ])('goes to the next node after %s', async (fault, setting) => {
    await start(BOTH);
    await node(0).faults.set({ [fault]: setting });
    // One of two begins at the node with the fault.
    for (let count = 0; count < 2; count += 1) {
      const caller = StreamCaller.start(fleet.gateway.url, ['echo'], { hello: 'world' });
      expect(await caller.ended).toBe(true);
      expect(caller.output).toBe('{"hello":"world"}');
    }
    expect(node(0).received.filter(({ path }) => path === '/api/jobs/stream').length).toBeGreaterThan(0);
  });

  it('goes to the next node when the first is killed between its id and its output', async () => {
    await start(BOTH);
    const caller = stream({ count: 1, size: 4, interval_ms: 4_000 });
    await caller.nextRead();
    const index = fleet.nodes.findIndex(({ load }) => load.busySlots > 0);
    node(index).kill();
    expect(await caller.ended).toBe(true);
    expect(caller.output).toBe('stre');
    expect(await outcome(caller.id)).toEqual({
      status: 'success',
      error: undefined,
      story: [`${index} lost`, `${1 - index} succeeded`],
    });
  });
});

describe('a stream that is refused', () => {
  it("passes a node's 405 on once every node that may take it has refused, and keeps no row", async () => {
    await start({
      nodes: [{ allowedAddresses: { pieces: ['10.0.0.1'] } }, { allowedAddresses: { pieces: [] } }],
    });
    const caller = stream({ count: 1 });
    await caller.ended;
    expect(caller.status).toBe(405);
    expect(caller.header('content-type')).toMatch(/^application\/json/);
    expect(caller.text).toContain('{"error":"Container not allowed for address"');
    expect(fleet.submissions()).toHaveLength(2);
    expect(await fleet.gateway.ids()).toEqual([]);
  });

  it('goes to the node that takes it', async () => {
    await start({ nodes: [{ allowedAddresses: { pieces: ['10.0.0.1'] } }, {}] });
    for (let count = 0; count < 3; count += 1) expect(await stream({ count: 1 }).ended).toBe(true);
  });

  it('names what no node runs, and what is malformed', async () => {
    await start();
    const unknown = StreamCaller.start(fleet.gateway.url, ['nobody-has-it'], {});
    await unknown.ended;
    expect(unknown.text).toContain(
      '{"error":"Container not supported","params":{"container":"nobody-has-it"}}',
    );
    expect(unknown.status).toBe(405);
    const malformed = StreamCaller.start(fleet.gateway.url, ['pieces'], [] as object);
    await malformed.ended;
    expect(malformed.status).toBe(400);
    expect(malformed.text).toContain('"params":{"field":"data"}');
  });

  it('is for jobs: a delegated subscription gets the words of a node', async () => {
    await start();
    const reply = await fetch(`${fleet.gateway.url}/api/jobs/stream`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: await delegatedBody({ containers: ['pieces'] }),
    });
    expect(reply.status).toBe(405);
    expect(await reply.text()).toBe('{"error":"Streaming only supported for OffchainJob requests."}\n');
    expect(fleet.submissions()).toEqual([]);
  });

  it('waits for a slot as long as it may, then says when to come back', async () => {
    await start({ settings: { STREAM_WAIT_MS: '300' } });
    await fleet.gateway.admin('PATCH', `/nodes/${fleet.registered[0]?.id}`, { maxInFlight: 1 });
    const first = stream({ count: 100, interval_ms: 50 });
    await waitUntil('output', () => first.output.length > 0);
    const second = stream({ count: 1 });
    await second.ended;
    expect(second.status).toBe(503);
    expect(second.header('retry-after')).toBe('1');
    expect(second.text).toContain('No node had room for the stream');
    expect(await fleet.gateway.ids()).toEqual([first.id]);
    first.leave();
    await nodesAreFree();
  });

  it('goes before jobs that wait', async () => {
    await start();
    await fleet.gateway.admin('PATCH', `/nodes/${fleet.registered[0]?.id}`, { maxInFlight: 1 });
    const first = await fleet.gateway.submit(['delay'], { ms: 700 });
    const waiting: string[] = [];
    for (let count = 0; count < 3; count += 1)
      waiting.push(await fleet.gateway.submit(['delay'], { ms: 50 }));
    const caller = stream({ count: 1 });
    expect(await caller.ended).toBe(true);
    await fleet.gateway.finished([first, ...waiting]);
    expect(
      node()
        .executions.map(({ jobId }) => jobId)
        .slice(0, 2),
    ).toEqual([first, caller.id]);
  });

  it("spends the caller's budget at the node, not the gateway's, and says when there is some again", async () => {
    await start({
      nodes: [{ rateLimit: { limit: 2, periodMs: 60_000 } }],
      settings: { PROBE_INTERVAL_MS: '60000' },
    });
    const first = [stream({ count: 1 }), stream({ count: 1 })];
    for (const caller of first) {
      await caller.ended;
      expect(caller.status).toBe(200);
    }
    const third = stream({ count: 1 });
    await third.ended;
    expect(third.status).toBe(503);
    expect(Number(third.header('retry-after'))).toBeGreaterThan(20);
  });
});

describe('a gateway that stops', () => {
  it('gives streams its budget, then cuts them, and their rows say so', async () => {
    await start({ settings: { SHUTDOWN_BUDGET_MS: '300' } });
    const short = stream({ count: 4, size: 4, interval_ms: 30 });
    const long = stream({ count: 1_000, size: 4, interval_ms: 50 });
    await waitUntil('output', () => short.output.length > 0 && long.output.length > 0);
    await fleet.gateway.pause();
    expect(await short.ended).toBe(true);
    expect(await long.ended).toBe(false);
    await fleet.gateway.resume();
    expect(await outcome(long.id)).toEqual({
      status: 'failed',
      error: 'The gateway was stopped before the stream had ended',
      story: ['0 failed'],
    });
  });
});
