import { afterEach, describe, expect, it } from 'vitest';

import { readSettings } from '../../src/config/settings.js';
import type { EmulatedNodeOptions } from '../../src/emulator/options.js';
import { AcceptancesRepository } from '../../src/jobs/acceptances.repository.js';
import { JobEvents } from '../../src/jobs/job-events.js';
import { NoMetrics } from '../../src/metrics/metrics.js';
import { ResultsStore } from '../../src/jobs/results-store.js';
import { Broadcast } from '../../src/persistence/broadcast.js';
import { Database } from '../../src/persistence/database.js';
import { createTestDatabase } from '../support/database.js';
import { startTestGateway, type TestFleet, type TestGateway } from '../support/gateway.js';
import { json } from '../support/http.js';
import {
  at,
  drainAll,
  expectStory,
  jobView,
  QUICK,
  resumeAll,
  submissionsTo,
  whenJob,
} from '../support/recovery.js';
import { TestReplicas } from '../support/replicas.js';
import { waitUntil } from '../support/wait.js';

let fleet: TestFleet;
let gateway: TestGateway;
let stop: () => Promise<void>;

afterEach(() => stop());

async function start(nodes: EmulatedNodeOptions[], settings: Record<string, string> = {}): Promise<void> {
  fleet = await startTestGateway({ nodes, settings: { ...QUICK, ...settings } });
  ({ gateway } = fleet);
  stop = () => fleet.stop();
}
const cancelled = { container: 'delay', error: 'The job was cancelled by an operator' };
const operate = (action: 'cancel' | 'retry', id: string) => gateway.admin('POST', `/jobs/${id}/${action}`);

async function running(ms: number): Promise<string> {
  const id = await gateway.submit(['delay'], { ms });
  await whenJob(gateway, id, 'running', ({ state }) => state === 'running');
  return id;
}

describe('cancel', () => {
  it('of a job that waits: it never runs', async () => {
    await start([{}]);
    await drainAll(fleet);
    const id = await gateway.submit(['delay'], { ms: 1 });
    expect((await operate('cancel', id)).status).toBe(200);
    expect(await gateway.rows([id])).toEqual([{ id, status: 'failed', result: cancelled }]);
    await resumeAll(fleet);
    await gateway.finished([await gateway.submit(['echo'], {})]);
    await expectStory(fleet, id, [], 0);
    expect(submissionsTo(at(fleet.nodes, 0))).toBe(1);
  });

  it('of a job that runs: its slot stays counted, its result is recorded and ignored', async () => {
    await start([{}]);
    const id = await running(4_000);
    const waiting = gateway.getResults([id], { prefer: 'wait=4' });
    const view = json<{ state: string }>(await operate('cancel', id));
    expect(view.state).toBe('cancelled');
    const waited = json<unknown[]>(await waiting);
    expect(waited).toEqual([{ id, status: 'failed', result: cancelled }]);
    expect((await gateway.node(at(fleet.registered, 0).id))?.inFlight).toBe(1);
    const ended = await whenJob(
      gateway,
      id,
      'recorded',
      ({ attempts }) => attempts[0]?.state === 'superseded',
    );
    expect(ended).toMatchObject({ state: 'cancelled', results: [{ generation: 1 }] });
    expect(ended.timeline.at(-1)?.text).toMatch(/finished it after the job had ended; ignored/);
    expect(await gateway.rows([id])).toEqual([{ id, status: 'failed', result: cancelled }]);
    expect((await gateway.node(at(fleet.registered, 0).id))?.inFlight).toBe(0);
  });

  it('of a job that waits for its retry: it does not come back', async () => {
    await start([{}], { RETRY_BASE_MS: '500' });
    await at(fleet.nodes, 0).faults.set({ infrastructure: 'server-disconnected' });
    const id = await gateway.submit(['delay'], { ms: 1 });
    await whenJob(gateway, id, 'retrying', ({ state }) => state === 'retrying');
    await operate('cancel', id);
    // A job that fails later, and the same way, has its retry after this one's would have been.
    const later = await gateway.submit(['echo'], {});
    await whenJob(gateway, later, 'two attempts', ({ failures }) => failures >= 2);
    await expectStory(fleet, id, ['0 failed'], 1);
    expect(await gateway.rows([id])).toEqual([{ id, status: 'failed', result: cancelled }]);
  });
});

describe('retry by an operator', () => {
  it('of a failed job: a new generation with all its attempts; the old result stays in the timeline', async () => {
    await start([{}], { MAX_ATTEMPTS: '2' });
    const [node] = fleet.nodes;
    await node?.faults.set({ infrastructure: 'server-disconnected' });
    const id = await gateway.submit(['echo'], { n: 1 });
    await gateway.finished([id]);
    await node?.faults.set({ infrastructure: { text: 'server-disconnected', times: 1 } });
    expect(json(await operate('retry', id))).toMatchObject({ generation: 2, failures: 0 });
    expect(await gateway.finished([id])).toMatchObject([{ status: 'success', result: { output: { n: 1 } } }]);
    const view = await expectStory(fleet, id, ['0 failed', '0 failed', '0 failed', '0 succeeded'], 4);
    expect(view.attempts.map(({ generation }) => generation)).toEqual([1, 1, 2, 2]);
    expect(new Set(view.attempts.map(({ nodeJobId }) => nodeJobId)).size).toBe(4);
    expect(view.results.map(({ generation }) => generation)).toEqual([1, 2]);
    expect(view.results[0]?.preview).toContain('gave up after 2 failed attempts');
  });

  it('gives up in the new generation after as many attempts as in the first', async () => {
    await start([{}], { MAX_ATTEMPTS: '2' });
    await at(fleet.nodes, 0).faults.set({ infrastructure: 'server-disconnected' });
    const id = await gateway.submit(['echo'], { n: 1 });
    const first = await gateway.finished([id]);
    await operate('retry', id);
    const second = await gateway.finished([id]);
    await expectStory(fleet, id, ['0 failed', '0 failed', '0 failed', '0 failed'], 4);
    expect(second).toEqual(first);
  });

  it('of a cancelled job: the late result of the old generation is recorded and ignored', async () => {
    await start([{}, {}]);
    const id = await running(4_000);
    await operate('cancel', id);
    await operate('retry', id);
    expect(await gateway.finished([id])).toMatchObject([
      { status: 'success', result: { output: { node: 'node-1' } } },
    ]);
    const view = await expectStory(fleet, id, ['0 superseded', '1 succeeded'], 2);
    expect(view.results).toMatchObject([
      { generation: 1, preview: JSON.stringify(cancelled) },
      { generation: 2, preview: expect.stringContaining('node-1') },
    ]);
  });

  it('a node taken away by force, with the old generation on it, does not disturb the new one', async () => {
    await start([{}, {}]);
    const id = await running(4_000);
    await operate('cancel', id);
    await operate('retry', id);
    await whenJob(gateway, id, 'runs elsewhere', ({ attempts }) => attempts[1]?.state === 'running');
    await gateway.admin('DELETE', `/nodes/${at(fleet.registered, 0).id}?force=true`);
    expect(await gateway.finished([id])).toMatchObject([{ status: 'success' }]);
    expect(at(fleet.nodes, 1).executions).toHaveLength(1);
  });

  it('of many: all failed ones that match, and no others', async () => {
    await start([{}], { MAX_ATTEMPTS: '1' });
    const [node] = fleet.nodes;
    const succeeded = await gateway.submit(['echo'], { n: 0 });
    await gateway.finished([succeeded]);
    await node?.faults.set({ infrastructure: 'server-disconnected' });
    const ids: string[] = [];
    for (const container of ['echo', 'echo', 'step-one']) {
      const id = await gateway.submit([container], {});
      await gateway.finished([id]);
      ids.push(id);
    }
    await node?.faults.clear();
    const some = await gateway.admin('POST', '/jobs/retry', { container: 'step-one' });
    expect(json(some)).toEqual({ retried: 1 });
    expect(json(await gateway.admin('POST', '/jobs/retry', {}))).toEqual({ retried: 2 });
    for (const { status } of await gateway.finished(ids)) expect(status).toBe('success');
    for (const id of ids) expect((await jobView(gateway, id)).generation).toBe(2);
    expect((await jobView(gateway, succeeded)).generation).toBe(1);
    expect(json(await gateway.admin('GET', '/jobs?status=failed'))).toEqual({ jobs: [], cursor: null });
  });
});

describe('what operators may not do is answered with problem details', () => {
  it.each<[string, 'POST' | 'GET', (id: string) => string, number]>([
    ['cancel a job that has ended', 'POST', (id) => `/jobs/${id}/cancel`, 409],
    ['retry a job that succeeded', 'POST', (id) => `/jobs/${id}/retry`, 409],
    ['see an unknown job', 'GET', () => '/jobs/00000000-0000-7000-8000-000000000000', 404],
    ['cancel an unknown job', 'POST', () => '/jobs/00000000-0000-7000-8000-000000000000/cancel', 404],
    ['retry an unknown job', 'POST', () => '/jobs/00000000-0000-7000-8000-000000000000/retry', 404],
    ['see a job by something that is no id', 'GET', () => '/jobs/no-id', 400],
    ['list an unknown status', 'GET', () => '/jobs?status=lost', 400],
    ['list too many', 'GET', () => '/jobs?limit=100000', 400],
  ])('%s', async (_name, method, path, status) => {
    await start([{}]);
    const id = await gateway.submit(['echo'], {});
    await gateway.finished([id]);
    const reply = await gateway.admin(method, path(id));
    expect(reply.status).toBe(status);
    expect(reply.headers['content-type']).toMatch(/^application\/problem\+json\b/);
    expect(json(reply)).toMatchObject({ title: expect.any(String), status, detail: expect.any(String) });
  });
});

describe('two generations that finish at the same moment', () => {
  it('are committed together, and the newer one counts', async () => {
    await start([{}]);
    const database = await createTestDatabase();
    stop = async () => {
      await fleet.stop();
      await database.drop();
    };
    const store = new Database({ url: database.url });
    try {
      const [job, node, second] = [1, 2, 3].map((n) => `01890000-0000-7000-8000-00000000000${n}`);
      await store.$executeRaw`INSERT INTO nodes (id, url, name, source, updated_at)
        VALUES (${node}::uuid, 'http://node', 'node', 'admin', now())`;
      await store.$executeRaw`INSERT INTO jobs (id, caller, state, containers, requires_proof, generation, deadline_at)
        VALUES (${job}::uuid, 'caller', 'running', ARRAY['echo'], false, 2, now() + interval '1 day')`;
      await store.$executeRaw`INSERT INTO attempts (id, job_id, node_id, number, generation, state, egress_group)
        VALUES (${job}::uuid, ${job}::uuid, ${node}::uuid, 1, 1, 'running', 'default'),
               (${second}::uuid, ${job}::uuid, ${node}::uuid, 2, 2, 'running', 'default')`;
      const broadcast = new Broadcast(store, database.url, 'a');
      const metrics = new NoMetrics();
      const acceptances = new AcceptancesRepository(store, metrics);
      const results = new ResultsStore(
        store,
        new JobEvents(),
        broadcast,
        readSettings({}),
        acceptances,
        metrics,
      );
      const finish = (id: string | undefined, text: string) =>
        results.finish({
          attempt: { id: id ?? '', jobId: job ?? '' },
          state: 'succeeded',
          reason: null,
          result: Buffer.from(text),
          intermediate: null,
        });
      await Promise.all([finish(job, 'old'), finish(second, 'new')]);
      const attempts = await store.attempt.findMany({ orderBy: { number: 'asc' } });
      expect(attempts.map(({ state }) => state)).toEqual(['superseded', 'succeeded']);
      const stored = await store.jobResult.findMany();
      expect(stored.map(({ result }) => Buffer.from(result).toString())).toEqual(['new']);
    } finally {
      await store.$disconnect();
    }
  });
});

describe('two attempts that both finish, seen by different replicas', () => {
  it('the first committed wins, the other is recorded; the answer never changes', async () => {
    const replicas = await TestReplicas.start({ gateways: 2, nodes: [{}, {}] });
    stop = () => replicas.stop();
    gateway = replicas.gateway(0);
    const id = await gateway.submit(['delay'], { ms: 2_500 });
    const open = await whenJob(gateway, id, 'running', ({ state }) => state === 'running');
    const isFirst = open.attempts[0]?.node.id === at(replicas.registered, 0).id;
    const [slow, quick] = isFirst ? [0, 1] : [1, 0];
    // The other replica hears nothing of the cancelling until the two attempts are on two nodes.
    await operate('cancel', id);
    await gateway.admin('POST', `/nodes/${at(replicas.registered, slow).id}/drain`);
    await at(replicas.nodes, slow).faults.set({ frozen: true });
    await operate('retry', id);
    const [row] = await gateway.finished([id]);
    expect(row?.result?.output).toMatchObject({ node: `node-${quick}` });
    await at(replicas.nodes, slow).faults.clear();
    const view = await whenJob(gateway, id, 'recorded', ({ attempts }) =>
      attempts.every(({ finishedAt }) => finishedAt !== null),
    );
    expect(view.attempts.map(({ state }) => state)).toEqual(['superseded', 'succeeded']);
    for (const replica of replicas.gateways) expect(await replica.rows([id])).toEqual([row]);
    await waitUntil('nothing is counted', async () =>
      (await gateway.nodes()).every(({ inFlight }) => inFlight === 0),
    );
  });
});
