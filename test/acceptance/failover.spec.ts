import { afterEach, describe, expect, it } from 'vitest';

import type { EmulatedNodeOptions } from '../../src/emulator/options.js';
import type { FaultSettings } from '../../src/emulator/faults.js';
import { startTestGateway, type TestFleet, type TestGateway } from '../support/gateway.js';
import { json } from '../support/http.js';
import { waitUntil } from '../support/wait.js';

let fleet: TestFleet;
let gateway: TestGateway;

afterEach(() => fleet.stop());

async function start(nodes: EmulatedNodeOptions[], settings: Record<string, string> = {}): Promise<void> {
  fleet = await startTestGateway({ nodes, settings: { SUBMIT_TIMEOUT_MS: '500', ...settings } });
  ({ gateway } = fleet);
}
const node = (index: number) => {
  const found = fleet.nodes[index];
  if (found === undefined) throw new Error(`there is no node ${index}`);
  return found;
};
const runs = (id: string) =>
  fleet.nodes.flatMap(({ executions }) => executions.filter(({ jobId }) => jobId === id));
/** Long enough that the gateway does not learn from a probe what its submissions have to find out. */
const BLIND = { PROBE_INTERVAL_MS: '600000' };

describe('a node that fails a submission costs the caller nothing', () => {
  it.each<[string, FaultSettings]>([
    ['refuses the connection', { refuse: true }],
    ['answers a page with 500', { error500Html: true }],
  ])('%s', async (_name, fault) => {
    await start([{}, {}], BLIND);
    await node(0).faults.set(fault);
    for (let n = 0; n < 6; n += 1) {
      const startedAt = performance.now();
      const id = await gateway.submit(['echo'], { n });
      expect(performance.now() - startedAt).toBeLessThan(3_000);
      expect((await gateway.finished([id]))[0]?.result?.output).toEqual({ n });
    }
    expect(node(0).executions).toHaveLength(0);
    expect(node(1).executions).toHaveLength(6);
  });

  it('answers a page that is not even text', async () => {
    await start([{}, {}], BLIND);
    node(0).respondWith('POST /api/jobs', Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]), {
      status: 502,
      contentType: 'text/html',
    });
    const ids = [await gateway.submit(['echo'], { n: 1 }), await gateway.submit(['echo'], { n: 2 })];
    for (const { status } of await gateway.finished(ids)) expect(status).toBe('success');
  });

  it('answers 429', async () => {
    await start([{ rateLimit: { limit: 2, periodMs: 6_000 } }, {}], BLIND);
    const ids: string[] = [];
    for (let n = 0; n < 8; n += 1) ids.push(await gateway.submit(['echo'], { n }));
    for (const { status } of await gateway.finished(ids)) expect(status).toBe('success');
    expect(node(1).executions.length).toBeGreaterThanOrEqual(4);
  });
});

describe('a connection that breaks', () => {
  it('before the node accepted: the job runs once, elsewhere or there', async () => {
    await start([{}, {}], BLIND);
    await node(0).faults.set({ resetBeforeAccept: { times: 1 } });
    await node(1).faults.set({ resetBeforeAccept: { times: 1 } });
    const ids = await Promise.all([gateway.submit(['echo'], { n: 0 }), gateway.submit(['echo'], { n: 1 })]);
    for (const { status } of await gateway.finished(ids)) expect(status).toBe('success');
    expect(fleet.nodes.flatMap(({ executions }) => executions)).toHaveLength(2);
  });

  it.each<[string, FaultSettings]>([
    ['reset', { resetAfterAccept: true }],
    ['closed', { loseAnswer: { close: true } }],
    ['silent', { loseAnswer: true }],
  ])('after the node accepted (%s): the job is not run twice', async (_name, fault) => {
    await start([{}, {}]);
    await Promise.all(fleet.nodes.map(({ faults }) => faults.set(fault)));
    const ids = await Promise.all([0, 1, 2, 3].map((n) => gateway.submit(['echo'], { n })));
    const rows = await gateway.finished(ids);
    expect(rows.map(({ result }) => result?.output)).toEqual([0, 1, 2, 3].map((n) => ({ n })));
    for (const id of ids) expect(runs(id)).toHaveLength(1);
    expect(fleet.nodes.flatMap(({ executions }) => executions)).toHaveLength(4);
  });
});

describe('a node that hangs', () => {
  it('is answered for within 4 s, and the job done elsewhere', async () => {
    await start([{}, { containers: ['step-one'] }], BLIND);
    await node(0).faults.set({ hang: { forMs: 4_500 } });
    const startedAt = performance.now();
    const id = await gateway.submit(['echo'], { n: 1 });
    expect(performance.now() - startedAt).toBeLessThan(4_000);
    expect(await gateway.rows([id])).toEqual([{ id, status: 'running', result: null }]);
    const other = await gateway.register((await addNode()).url);
    const [row] = await gateway.finished([id]);
    expect(row?.result?.output).toEqual({ n: 1 });
    expect(await gateway.node(other.id)).toMatchObject({ health: 'up' });
    expect(fleet.nodes[2]?.executions).toHaveLength(1);
  });
});

async function addNode() {
  const { EmulatedNode } = await import('../../src/emulator/emulated-node.js');
  const added = await EmulatedNode.start({ rateLimit: false });
  fleet.nodes.push(added);
  return added;
}

describe('a JSON 500', () => {
  it('is tried on one other node', async () => {
    await start([{}, {}], BLIND);
    await node(0).faults.set({ error500Json: true });
    for (let n = 0; n < 4; n += 1) {
      const id = await gateway.submit(['echo'], { n });
      expect((await gateway.finished([id]))[0]?.status).toBe('success');
    }
    expect(node(1).executions).toHaveLength(4);
  });

  it('from two nodes becomes 400, and nothing is left of the job', async () => {
    await start([{}, {}, {}], BLIND);
    await Promise.all(fleet.nodes.map(({ faults }) => faults.set({ error500Json: true })));
    const reply = await gateway.post('{"containers":["echo"],"data":{}}');
    expect(reply.status).toBe(400);
    expect(json(reply)).toMatchObject({ error: expect.any(String), params: {} });
    expect(await gateway.ids()).toEqual([]);
    expect(fleet.submissions()).toHaveLength(2);
    await Promise.all(fleet.nodes.map(({ faults }) => faults.clear()));
    await gateway.finished([await gateway.submit(['echo'], {})]);
  });
});

describe('no node at all', () => {
  it('jobs are accepted, wait, and run in order of arrival when one returns', async () => {
    await start([{ slots: 1 }]);
    await node(0).faults.set({ refuse: true });
    await gateway.seen(fleet.registered[0]?.id ?? '', 'down');
    const ids: string[] = [];
    for (let n = 0; n < 30; n += 1) ids.push(await gateway.submit(['echo'], { n }));
    expect((await gateway.rows(ids)).map(({ status }) => status)).toEqual(ids.map(() => 'running'));
    expect(await gateway.ids('?pending=true')).toEqual(ids);
    await node(0).faults.clear();
    for (const { status } of await gateway.finished(ids)) expect(status).toBe('success');
    expect(
      node(0)
        .executions.map(({ jobId }) => jobId)
        .slice(0, 10),
    ).toEqual(ids.slice(0, 10));
  });

  it('a refused submission waits too, before any probe has noticed', async () => {
    await start([{}]);
    await node(0).faults.set({ refuse: { forMs: 1_000 } });
    const ids = await Promise.all([0, 1, 2].map((n) => gateway.submit(['echo'], { n })));
    for (const { status } of await gateway.finished(ids)) expect(status).toBe('success');
  });

  it('a job that waited and is then refused ends as failed, in the words of the node', async () => {
    await start([{}]);
    await node(0).faults.set({ refuse: true });
    await gateway.seen(fleet.registered[0]?.id ?? '', 'down');
    const reply = await gateway.post('{"containers":["echo"],"data":{},"requires_proof":true}');
    expect(reply.status).toBe(200);
    const { id } = json<{ id: string }>(reply);
    await node(0).faults.clear();
    const [row] = await gateway.finished([id]);
    expect(row).toEqual({
      id,
      status: 'failed',
      result: { container: 'echo', error: 'Container does not generate proof' },
    });
  });
});

describe('a node that loses its jobs', () => {
  it('by a restart: they run again', async () => {
    await start([{}, {}]);
    const ids = await Promise.all(Array.from({ length: 6 }, () => gateway.submit(['delay'], { ms: 1_500 })));
    const lost = node(0).executions.map(({ jobId }) => jobId);
    expect(lost.length).toBeGreaterThan(0);
    await node(0).restart({ downMs: 300 });
    for (const { status } of await gateway.finished(ids)) expect(status).toBe('success');
    expect(
      node(0)
        .executions.slice(0, lost.length)
        .map(({ outcome }) => outcome),
    ).toEqual(lost.map(() => 'lost'));
    const total = fleet.nodes.flatMap(({ executions }) => executions);
    expect(total).toHaveLength(6 + lost.length);
  });

  it('by a Redis that is away and comes back empty: they run', async () => {
    await start([{}]);
    await node(0).faults.set({ redisLess: true });
    const id = await gateway.submit(['echo'], { n: 1 });
    expect(runs(id)).toHaveLength(0);
    await node(0).faults.clear();
    const [row] = await gateway.finished([id]);
    expect(row?.result?.output).toEqual({ n: 1 });
  });
});

describe('a result larger than MAX_RESULT_BYTES', () => {
  it('fails its job alone', async () => {
    await start([{}], { MAX_RESULT_BYTES: '20000' });
    const big = 'x'.repeat(30_000);
    const ids = await Promise.all([
      gateway.submit(['echo'], { n: 1 }),
      gateway.submit(['echo'], { big }),
      gateway.submit(['echo'], { n: 3 }),
    ]);
    const [first, second, third] = await gateway.finished(ids);
    expect([first?.status, third?.status]).toEqual(['success', 'success']);
    expect(second).toEqual({
      id: ids[1],
      status: 'failed',
      result: { container: 'echo', error: expect.stringContaining('20000') },
    });
  });
});

describe('a reply to a collection that cannot be read', () => {
  it('is asked for again', async () => {
    await start([{}]);
    node(0).respondWith('GET /api/jobs', '[{"id":"x","sta');
    const id = await gateway.submit(['echo'], { n: 1 });
    await waitUntil('it was asked for', () =>
      node(0).received.some(({ path }) => path.startsWith('/api/jobs?')),
    );
    node(0).respondWith('GET /api/jobs', undefined);
    expect((await gateway.finished([id]))[0]?.status).toBe('success');
    expect(runs(id)).toHaveLength(1);
  });
});
