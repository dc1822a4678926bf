import { afterEach, describe, expect, it } from 'vitest';

import type { EmulatedNode } from '../../src/emulator/emulated-node.js';
import type { FaultSettings } from '../../src/emulator/faults.js';
import type { EmulatedNodeOptions } from '../../src/emulator/options.js';
import { startTestGateway, type TestFleet, type TestGateway } from '../support/gateway.js';
import { json } from '../support/http.js';
import {
  at,
  BLIND,
  drainAll,
  expectStory,
  resumeAll,
  submissionsTo,
  whenJob,
  whyNot,
} from '../support/recovery.js';
import { waitUntil } from '../support/wait.js';

/*
 * The failure table of docs/failures.md, first half: what goes wrong while a job is being sent. Of idle nodes the
 * first one registered is chosen first.
 */

let fleet: TestFleet;
let gateway: TestGateway;

afterEach(() => fleet.stop());

async function start(nodes: EmulatedNodeOptions[], settings: Record<string, string> = {}): Promise<void> {
  fleet = await startTestGateway({ nodes, settings: { ...BLIND, ...settings } });
  ({ gateway } = fleet);
}
const node = (index: number): EmulatedNode => at(fleet.nodes, index);

async function succeeds(id: string, output: unknown): Promise<void> {
  expect(await gateway.finished([id])).toMatchObject([{ status: 'success', result: { output } }]);
}

describe('connection refused, reset before the body was sent, HTML 5xx', () => {
  it.each<[string, FaultSettings]>([
    ['connection refused', { refuse: true }],
    ['HTML 5xx', { error500Html: true }],
  ])(
    '%s: the next node at once, and it counts against the node',
    { timeout: 150_000 },
    async (_name, fault) => {
      await start([{}, {}]);
      await node(0).faults.set(fault);
      const id = await gateway.submit(['echo'], { n: 1 });
      await succeeds(id, { n: 1 });
      const view = await expectStory(fleet, id, ['0 unreachable', '1 succeeded'], 1);
      expect(view.attempts[0]?.reason).toMatch(/^could not reach the node: /);
      expect(view.failures).toBe(0);
      const isEjected = async (): Promise<boolean> => {
        await gateway.submit(['echo'], { n: 2 });
        const reason = await whyNot(gateway, 'echo', at(fleet.registered, 0).id);
        return /ejected after failures, \d\d s more/.test(reason ?? '');
      };
      await waitUntil('it is ejected', isEjected, { withinMs: 90_000 });
      await node(0).faults.clear();
      const next = await gateway.submit(['echo'], { n: 3 });
      await succeeds(next, { n: 3 });
      await expectStory(fleet, next, ['1 succeeded'], 1);
      expect(node(0).executions).toEqual([]);
    },
  );

  it('reset before anything was stored: the node is asked, then the next one has the job', async () => {
    expect.hasAssertions();
    await start([{}, {}]);
    await node(0).faults.set({ resetBeforeAccept: true });
    const id = await gateway.submit(['echo'], { n: 1 });
    await succeeds(id, { n: 1 });
    await expectStory(fleet, id, ['0 lost', '1 succeeded'], 1);
  });

  it('no node left: the job waits and goes when one is back', async () => {
    await start([{}]);
    await node(0).faults.set({ refuse: true });
    const id = await gateway.submit(['echo'], { n: 1 });
    await node(0).faults.clear();
    // Long before a sweep would find it.
    await gateway.finished([id], {}, 8_000);
    await succeeds(id, { n: 1 });
    const { attempts } = await whenJob(gateway, id, 'ended', ({ state }) => state === 'succeeded');
    expect(attempts.at(0)?.state).toBe('unreachable');
    expect(attempts.at(-1)?.state).toBe('succeeded');
    expect(node(0).executions).toHaveLength(1);
  });

  it('a job that one node refuses waits for another that may take it but cannot be reached now', async () => {
    expect.hasAssertions();
    await start([{ allowedAddresses: { echo: ['192.0.2.1'] } }, {}], { PROBE_INTERVAL_MS: '200' });
    await drainAll(fleet);
    const id = await gateway.submit(['echo'], { n: 1 });
    await node(1).faults.set({ refuse: true });
    await gateway.seen(at(fleet.registered, 1).id, 'down');
    await resumeAll(fleet);
    await waitUntil('the first node has refused it', () => submissionsTo(node(0)) > 0);
    await node(1).faults.clear();
    await succeeds(id, { n: 1 });
    await expectStory(fleet, id, ['0 refused', '1 succeeded'], 1);
  });
});

describe('JSON 5xx to a submission', () => {
  it('goes to one other node, and nobody is penalised', async () => {
    await start([{}, {}]);
    await node(0).faults.set({ error500Json: { times: 1 } });
    const id = await gateway.submit(['echo'], { n: 1 });
    await succeeds(id, { n: 1 });
    const view = await expectStory(fleet, id, ['0 failed', '1 succeeded'], 1);
    expect(view.attempts[0]?.reason).toMatch(/^the node answered 500 /);
    const next = await gateway.submit(['echo'], { n: 2 });
    await succeeds(next, { n: 2 });
    await expectStory(fleet, next, ['0 succeeded'], 1);
  });

  it('the same again: 400, and nothing is left of the job', async () => {
    await start([{}, {}, {}]);
    for (const { faults } of fleet.nodes) await faults.set({ error500Json: true });
    const reply = await gateway.post('{"containers":["echo"],"data":{}}');
    expect(reply.status).toBe(400);
    expect(json(reply)).toEqual({ error: expect.any(String), params: {} });
    expect(fleet.nodes.map(submissionsTo)).toEqual([1, 1, 0]);
    expect(json(await gateway.admin('GET', '/jobs'))).toEqual({ jobs: [], cursor: null });
    for (const { faults } of fleet.nodes) await faults.clear();
    await succeeds(await gateway.submit(['echo'], { n: 1 }), { n: 1 });
  });

  it('the same again for a job that was acknowledged: failed', async () => {
    await start([{}, {}, {}]);
    await drainAll(fleet);
    const id = await gateway.submit(['echo'], { n: 1 });
    for (const { faults } of fleet.nodes) await faults.set({ error500Json: true });
    await resumeAll(fleet);
    const [row] = await gateway.finished([id]);
    expect(row).toEqual({ id, status: 'failed', result: { container: 'echo', error: expect.any(String) } });
    const { attempts } = await whenJob(gateway, id, 'failed', ({ state }) => state === 'failed');
    expect(attempts.map(({ state }) => state)).toEqual(['failed', 'failed']);
    expect(fleet.nodes.flatMap(({ executions }) => executions)).toHaveLength(0);
  });
});

describe('timeout or reset after the body was sent', () => {
  it.each<[string, FaultSettings]>([
    ['timeout', { loseAnswer: true }],
    ['reset', { resetAfterAccept: true }],
    ['closed', { loseAnswer: { close: true } }],
  ])('%s, found: it runs there, once', async (_name, fault) => {
    await start([{}, {}]);
    await node(0).faults.set(fault);
    const id = await gateway.submit(['delay'], { ms: 5_000 });
    const found = await whenJob(gateway, id, 'found running', ({ state }) => state === 'running');
    expect(found.attempts[0]).toMatchObject({ state: 'running', acceptedAt: expect.any(String) });
    expect(await gateway.finished([id])).toMatchObject([{ status: 'success' }]);
    await expectStory(fleet, id, ['0 succeeded'], 1);
    expect(submissionsTo(node(1))).toBe(0);
  });

  it('not found, asked twice: the next node', async () => {
    await start([{}, {}]);
    await node(0).faults.set({ hang: { method: 'POST' } });
    const id = await gateway.submit(['echo'], { n: 1 });
    await succeeds(id, { n: 1 });
    const view = await expectStory(fleet, id, ['0 lost', '1 succeeded'], 1);
    expect(view.attempts[0]?.reason).toBe('no answer to the submission, and the node does not have it');
    expect(node(0).received.filter(({ path }) => path.includes(id))).toHaveLength(2);
  });

  it('no answer, hung: the node is closed and asked until NO_ANSWER_MS, then the next node', async () => {
    await start([{}, {}]);
    await node(0).faults.set({ hang: true });
    const startedAt = Date.now();
    const id = await gateway.submit(['echo'], { n: 1 });
    const next = await gateway.submit(['echo'], { n: 2 });
    await succeeds(next, { n: 2 });
    await expectStory(fleet, next, ['1 succeeded'], 1);
    await succeeds(id, { n: 1 });
    expect(Date.now() - startedAt).toBeGreaterThan(Number(BLIND.NO_ANSWER_MS));
    const view = await expectStory(fleet, id, ['0 lost', '1 succeeded'], 1);
    expect(view.attempts[0]?.reason).toMatch(/gave no answer/);
  });

  it('no answer, then it answers before NO_ANSWER_MS is over: it runs there, once', async () => {
    expect.hasAssertions();
    await start([{}, {}], { NO_ANSWER_MS: '20000' });
    await node(0).faults.set({ loseAnswer: { times: 1 } });
    const id = await gateway.submit(['echo'], { n: 1 });
    await node(0).faults.set({ hang: true });
    await waitUntil('the node was asked in vain', () =>
      node(0).received.some(({ path }) => path.includes(id)),
    );
    await node(0).faults.clear();
    await succeeds(id, { n: 1 });
    await expectStory(fleet, id, ['0 succeeded'], 1);
  });

  it('no answer, Redis-less: 200 to the submission, 500 to the question; the next node', async () => {
    await start([{}, {}]);
    await node(0).faults.set({ redisLess: true });
    const id = await gateway.submit(['echo'], { n: 1 });
    await succeeds(id, { n: 1 });
    const view = await expectStory(fleet, id, ['0 lost', '1 succeeded'], 1);
    expect(view.attempts[0]?.reason).toMatch(/gave no answer/);
  });
});

describe('429, or budget spent', () => {
  /** Uses up what the node allows this address on a route, behind the gateway's back. */
  async function exhaust(limited: EmulatedNode, path: '/api/jobs' | '/api/jobs/batch'): Promise<void> {
    const body = path === '/api/jobs' ? '{"containers":["echo"],"data":{"by":"another client"}}' : '[]';
    const headers = { 'content-type': 'application/json' };
    for (;;) {
      const { status } = await fetch(`${limited.url}${path}`, { method: 'POST', headers, body });
      if (status === 429) return;
    }
  }

  it('that route waits for one token, results are collected meanwhile, nobody is blamed', async () => {
    // One token's time is two seconds.
    await start([{ rateLimit: { limit: 10, periodMs: 20_000 } }]);
    const running = await gateway.submit(['delay'], { ms: 300 });
    await Promise.all([exhaust(node(0), '/api/jobs'), exhaust(node(0), '/api/jobs/batch')]);
    const limited = await gateway.submit(['echo'], { n: 10 });
    await gateway.finished([running]);
    await succeeds(limited, { n: 10 });
    const view = await whenJob(gateway, limited, 'ended', ({ state }) => state === 'succeeded');
    expect(view.attempts.map(({ state }) => state)).toEqual(['unreachable', 'unreachable', 'succeeded']);
    expect(view.attempts[0]?.reason).toBe('the node would not take it now: 429 Too Many Requests');
    // First the route for single jobs refuses, then the one for batches; then there is nothing but to wait.
    const [, second, third] = view.attempts.map(({ createdAt }) => Date.parse(createdAt));
    expect((third ?? 0) - (second ?? 0)).toBeGreaterThan(400);
    expect(view.failures).toBe(0);
    expect(await gateway.nodes()).toMatchObject([{ health: 'up' }]);
  });

  it('the job goes on by the other route, which has budget left', async () => {
    await start([{ rateLimit: { limit: 10, periodMs: 10_000 } }]);
    await exhaust(node(0), '/api/jobs');
    const id = await gateway.submit(['echo'], { n: 1 });
    await succeeds(id, { n: 1 });
    await expectStory(fleet, id, ['0 unreachable', '0 succeeded'], 1);
    const paths = node(0)
      .received.filter(({ method }) => method === 'POST')
      .map(({ path }) => path);
    expect(paths.slice(-2)).toEqual(['/api/jobs', '/api/jobs/batch']);
  });

  it('another node takes the job at once', async () => {
    expect.hasAssertions();
    await start([{ rateLimit: { limit: 10, periodMs: 10_000 } }, {}]);
    await exhaust(node(0), '/api/jobs');
    const id = await gateway.submit(['echo'], { n: 1 });
    await succeeds(id, { n: 1 });
    await expectStory(fleet, id, ['0 unreachable', '1 succeeded'], 1);
  });
});
