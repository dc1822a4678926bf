import { afterEach, describe, expect, it } from 'vitest';

import type { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { INFRASTRUCTURE_ERRORS } from '../../src/emulator/faults.js';
import type { EmulatedNodeOptions } from '../../src/emulator/options.js';
import { startTestGateway, type TestFleet, type TestGateway } from '../support/gateway.js';
import { json } from '../support/http.js';
import {
  at,
  BLIND,
  drainAll,
  expectStory,
  jobView,
  QUICK,
  submissionsTo,
  whenJob,
} from '../support/recovery.js';
import { waitUntil } from '../support/wait.js';

/*
 * The failure table of docs/failures.md, second half: what goes wrong after a node has accepted a job. Of idle nodes
 * the first one registered is chosen first.
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

const httpError = (code: number | string): string =>
  JSON.stringify({ code, name: 'Some Error', description: 'said the service' });

describe('accepted, later [] twice from a node that answers', () => {
  it('lost: a new attempt', async () => {
    await start([{}, {}]);
    const id = await gateway.submit(['delay'], { ms: 1_500 });
    await node(0).restart();
    expect(await gateway.finished([id])).toMatchObject([{ status: 'success' }]);
    const view = await whenJob(gateway, id, 'ended', ({ state }) => state === 'succeeded');
    expect(view.attempts.map(({ state }) => state)).toEqual(['lost', 'succeeded']);
    expect(view.attempts[0]?.reason).toBe('the node does not know the job any more');
    expect(view.failures).toBe(1);
    expect(node(0).executions[0]).toMatchObject({ jobId: id, outcome: 'lost' });
    expect(fleet.nodes.flatMap(({ executions }) => executions)).toHaveLength(2);
  });

  it('[] once is believed of nobody', async () => {
    expect.hasAssertions();
    await start([{}, {}]);
    const id = await gateway.submit(['delay'], { ms: 600 });
    node(0).respondWith('GET /api/jobs', '[]');
    const from = node(0).received.length;
    await waitUntil('it was asked for once', () => node(0).received.length > from);
    node(0).respondWith('GET /api/jobs', undefined);
    expect(await gateway.finished([id])).toMatchObject([{ status: 'success' }]);
    await expectStory(fleet, id, ['0 succeeded'], 1);
  });

  it.each([30, 2])(
    'all of a node’s rows gone without a restart (%i jobs): doubted, then pause and alert',
    async (count) => {
      expect.hasAssertions();
      // All of them are to be on the node at once, whatever it is known to take.
      await start([{}, {}], { DISPATCH_POLICY: 'least-pending' });
      await gateway.admin('POST', `/nodes/${at(fleet.registered, 1).id}/drain`);
      await succeeds(await gateway.submit(['echo'], { n: 0 }), { n: 0 });
      const jobs = Array.from({ length: count }, () => gateway.submit(['delay'], { ms: 4_000 }));
      const ids = await Promise.all(jobs);
      node(0).respondWith('GET /api/jobs', '[]');
      const asked = (id: string): number => node(0).received.filter(({ path }) => path.includes(id)).length;
      const before = ids.map(asked);
      await waitUntil('they were asked for again and again', () =>
        ids.every((id, index) => asked(id) >= at(before, index) + 3),
      );
      const later = await gateway.submit(['echo'], { n: 1 });
      await waitUntil('the node is alerted about', async () => {
        const seen = await gateway.node(at(fleet.registered, 0).id);
        return (seen?.['lastError'] as { message: string } | null)?.message.includes('EGRESS_GROUP');
      });
      await gateway.admin('POST', `/nodes/${at(fleet.registered, 1).id}/resume`);
      for (const n of [2, 3]) {
        const elsewhere = await gateway.submit(['echo'], { n });
        await succeeds(elsewhere, { n });
        await expectStory(fleet, elsewhere, ['1 succeeded'], 1);
      }
      node(0).respondWith('GET /api/jobs', undefined);
      for (const id of [...ids, later]) {
        await gateway.finished([id]);
        await expectStory(fleet, id, ['0 succeeded'], 1);
      }
    },
  );
});

describe('failed with an infrastructure text', () => {
  const texts = ['cannot-connect', 'server-disconnected', 'payload-incomplete'];
  it.each(texts)('%s: a new attempt elsewhere; the pair is blamed, not the node', async (name) => {
    await start([{}, {}]);
    await node(0).faults.set({ infrastructure: { container: 'echo', text: name } });
    const id = await gateway.submit(['echo'], { n: 1 });
    await succeeds(id, { n: 1 });
    const view = await expectStory(fleet, id, ['0 failed', '1 succeeded'], 2);
    expect(view.attempts[0]?.reason).toBe(
      `the node could not use the container: ${INFRASTRUCTURE_ERRORS[name]}`,
    );
    // The node has less to do than the other and is chosen for other containers, not for this one.
    const other = await gateway.submit(['step-one'], { n: 2 });
    await succeeds(other, { step: 'one', input: { n: 2 } });
    await expectStory(fleet, other, ['0 succeeded'], 1);
  });

  it('the pair is closed for a while: jobs for the container wait, others do not', async () => {
    await start([{}]);
    await node(0).faults.set({
      infrastructure: { container: 'echo', text: 'server-disconnected', times: 1 },
    });
    const id = await gateway.submit(['echo'], { n: 1 });
    await whenJob(gateway, id, 'it failed once', ({ failures }) => failures === 1);
    await gateway.submit(['step-one'], {});
    expect(submissionsTo(node(0))).toBe(2);
    await succeeds(id, { n: 1 });
    const [first, again] = node(0).executions.filter(({ container }) => container === 'echo');
    // The pause before the retry is 50 ms at most.
    expect((again?.startedAt ?? 0) - (first?.finishedAt ?? 0)).toBeGreaterThan(300);
  });

  it('elsewhere, even if the next node has more to do and the retry comes late', async () => {
    expect.hasAssertions();
    await start([{}, {}], { RETRY_BASE_MS: '1500', MAX_ATTEMPTS: '2' });
    await gateway.admin('POST', `/nodes/${at(fleet.registered, 0).id}/drain`);
    for (let n = 0; n < 3; n += 1) await gateway.submit(['delay'], { ms: 4_000 });
    await gateway.admin('POST', `/nodes/${at(fleet.registered, 0).id}/resume`);
    await node(0).faults.set({ infrastructure: { container: 'echo', text: 'server-disconnected' } });
    const id = await gateway.submit(['echo'], { n: 1 });
    await succeeds(id, { n: 1 });
    await expectStory(fleet, id, ['0 failed', '1 succeeded'], 2);
  });

  it('"" (the node’s time limit): retried once, and nobody is blamed', async () => {
    await start([{}]);
    await node(0).faults.set({ infrastructure: 'timeout' });
    const id = await gateway.submit(['echo'], { n: 1 });
    const [row] = await gateway.finished([id]);
    expect(row?.result?.error).toMatch(/^The gateway gave up after 2 failed attempts; at the last one /);
    const view = await expectStory(fleet, id, ['0 failed', '0 failed'], 2);
    expect(view.attempts[0]?.reason).toBe('the container did not answer the node in time');
    await node(0).faults.clear();
    // Answered only after the node took it: had the pair been blamed, the job would wait.
    await gateway.submit(['echo'], { n: 2 });
    expect(submissionsTo(node(0))).toBe(3);
  });

  it('maxAttempts exhausted: failed tells the story, and names no host', async () => {
    await start([{}, {}], { MAX_ATTEMPTS: '3' });
    for (const { faults } of fleet.nodes) await faults.set({ infrastructure: 'cannot-connect' });
    const id = await gateway.submit(['echo'], { n: 1 });
    const reply = await gateway.getResults([id]);
    const [row] = await gateway.finished([id]);
    expect(row).toEqual({
      id,
      status: 'failed',
      result: {
        container: 'echo',
        error: 'The gateway gave up after 3 failed attempts; at the last one the container could not be used',
      },
    });
    expect(reply.text + JSON.stringify(row)).not.toMatch(/localhost|127\.0\.0\.1/);
    const view = await jobView(gateway, id);
    expect(view.attempts.map(({ state }) => state)).toEqual(['failed', 'failed', 'failed']);
    expect(view.attempts[0]?.reason).toContain('localhost:3000');
    expect(view.timeline.at(-1)?.text).toBe('The job ended: failed');
    expect(view.timeline.map(({ text }) => text).join('\n')).toMatch(/Attempt 2: failed on .*Cannot connect/);
  });
});

describe('success whose output is an HTTP error object', () => {
  it.each<[string, number | string]>([
    ['a number', 500],
    ['a string', '503'],
  ])('5xx as %s: a new attempt elsewhere', async (_name, code) => {
    await start([{}, {}]);
    node(0).respondWith('echo', httpError(code));
    const id = await gateway.submit(['echo'], { n: 1 });
    await succeeds(id, { n: 1 });
    const view = await expectStory(fleet, id, ['0 failed', '1 succeeded'], 2);
    expect(view.attempts[0]?.reason).toBe(`the container answered HTTP ${code}`);
  });

  it('5xx everywhere: the last one is delivered unchanged', async () => {
    await start([{}, {}], { MAX_ATTEMPTS: '3' });
    const bytes = '{ "name":"Oops", "code" :500.0, "description":"caf\\u00e9" }';
    for (const { respondWith } of fleet.nodes.map((each) => ({ respondWith: each.respondWith.bind(each) }))) {
      respondWith('echo', bytes);
    }
    const id = await gateway.submit(['echo'], { n: 1 });
    expect((await gateway.finished([id]))[0]?.status).toBe('success');
    expect((await gateway.getResults([id])).text).toContain(bytes);
    const { attempts } = await jobView(gateway, id);
    expect(attempts.map(({ state }) => state)).toEqual(['failed', 'failed', 'succeeded']);
  });

  it.each<[string, string]>([
    ['4xx', httpError(404)],
    ['4xx as a string', httpError('422')],
    ['an object with one member more', JSON.stringify({ ...json0(httpError(500)), more: 1 })],
    ['an object without a description', JSON.stringify({ code: 500, name: 'x' })],
    ['a code below 400', httpError(200)],
  ])('%s: delivered as it is', async (_name, output) => {
    expect.hasAssertions();
    await start([{}, {}]);
    node(0).respondWith('echo', output);
    const id = await gateway.submit(['echo'], { n: 1 });
    await succeeds(id, JSON.parse(output));
    await expectStory(fleet, id, ['0 succeeded'], 1);
  });

  it('ERROR_WHEN: an output that the operator names as an error goes elsewhere', async () => {
    await start([{}, {}], { ERROR_WHEN: '{"echo":{"status":{"kind":"error"}}}' });
    node(0).respondWith('echo', '{"status":{"kind":"error","more":1},"text":""}');
    const id = await gateway.submit(['echo'], { status: { kind: 'fine' } });
    await succeeds(id, { status: { kind: 'fine' } });
    const view = await expectStory(fleet, id, ['0 failed', '1 succeeded'], 2);
    expect(view.attempts[0]?.reason).toContain('ERROR_WHEN');
  });
});

function json0(text: string): object {
  return JSON.parse(text) as object;
}

describe('failed by the container itself', () => {
  it('terminal: delivered as it is, and not run again', async () => {
    await start([{}, {}]);
    const id = await gateway.submit(['always-fails'], {});
    expect(await gateway.finished([id])).toEqual([
      {
        id,
        status: 'failed',
        result: { container: 'always-fails', error: 'ValueError: this container always fails' },
      },
    ]);
    await expectStory(fleet, id, ['0 failed'], 1);
  });
});

describe('result over MAX_RESULT_BYTES', () => {
  it('that job fails saying so; the others of the reply are kept', async () => {
    // Long enough that all three are asked for together.
    await start([{ serviceMs: 500 }], { MAX_RESULT_BYTES: '20000' });
    const big = 'x'.repeat(30_000);
    const ids = await Promise.all(
      [{ n: 1 }, { big }, { n: 3 }].map((data) => gateway.submit(['echo'], data)),
    );
    const [first, second, third] = await gateway.finished(ids);
    expect([first?.result?.output, third?.result?.output]).toEqual([{ n: 1 }, { n: 3 }]);
    const error = 'The result is larger than 20000 bytes';
    expect(second).toEqual({ id: ids[1], status: 'failed', result: { container: 'echo', error } });
    for (const [index, ending] of ['succeeded', 'failed', 'succeeded'].entries()) {
      await expectStory(fleet, at(ids, index), [`0 ${ending}`], 1);
    }
  });
});

describe('deadline passed', () => {
  it('while it waits for a node: failed, saying so', async () => {
    await start([{}], { ...QUICK, JOB_DEADLINE: '1s' });
    await drainAll(fleet);
    const id = await gateway.submit(['echo'], {});
    expect(await gateway.finished([id])).toEqual([
      {
        id,
        status: 'failed',
        result: { container: 'echo', error: 'The deadline passed before a node could finish this job' },
      },
    ]);
    await expectStory(fleet, id, [], 0);
  });

  it('while it waits for a node: it is not counted as pending any more', async () => {
    await start([{}], { ...QUICK, JOB_DEADLINE: '1s' });
    await drainAll(fleet);
    await gateway.finished([await gateway.submit(['echo'], {})]);
    // Whoever holds the job hears of its end after the callers.
    const pending = async (): Promise<unknown> =>
      json<{ pending: unknown }>(await gateway.send('/info')).pending;
    await expect.poll(pending, { timeout: 30_000 }).toEqual({ offchain: 0, onchain: 0 });
  });

  it('while it runs: no further attempt', async () => {
    await start([{}, {}], { JOB_DEADLINE: '1s' });
    const id = await gateway.submit(['delay'], { ms: 60_000 });
    await whenJob(gateway, id, 'running', ({ state }) => state === 'running');
    await waitUntil('the deadline has passed', async () => {
      const { timeline } = await jobView(gateway, id);
      return Date.now() > Date.parse(at(timeline, 0).at) + 1_000;
    });
    await node(0).restart();
    const [row] = await gateway.finished([id]);
    expect(row?.status).toBe('failed');
    await expectStory(fleet, id, ['0 lost'], 1);
    expect(row?.result?.error, 'the story names the deadline').toMatch(/deadline/);
  });
});
