import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { startTestGateway, TestGateway } from '../support/gateway.js';
import { json } from '../support/http.js';
import { TestPostgres } from '../support/postgres.js';
import { waitUntil } from '../support/wait.js';

describe('a restart of the gateway', () => {
  it('loses nothing: queued, running and finished jobs', async () => {
    const fleet = await startTestGateway({ nodes: [{}] });
    try {
      const { gateway } = fleet;
      const [node] = fleet.nodes as [EmulatedNode];
      const finished = await gateway.submit(['echo'], { n: 0 });
      await gateway.finished([finished]);
      const running = await Promise.all([1, 2].map(() => gateway.submit(['delay'], { ms: 3_000 })));
      await gateway.admin('PATCH', `/nodes/${fleet.registered[0]?.id}`, { maxInFlight: 1 });
      const queued: string[] = [];
      for (let n = 0; n < 10; n += 1) queued.push(await gateway.submit(['echo'], { n }));
      await gateway.pause();
      expect(node.executions).toHaveLength(3);
      await gateway.resume();
      expect(await gateway.rows([finished])).toMatchObject([
        { status: 'success', result: { output: { n: 0 } } },
      ]);
      expect(await gateway.ids()).toEqual([finished, ...running, ...queued].sort());
      for (const { status } of await gateway.finished([...running, ...queued]))
        expect(status).toBe('success');
      expect(node.executions.map(({ jobId }) => jobId).slice(3)).toEqual(queued);
    } finally {
      await fleet.stop();
    }
  });

  it('finds jobs again whose submission nobody had answered', async () => {
    const fleet = await startTestGateway({ nodes: [{}], settings: { ANSWER_WITHIN_MS: '100' } });
    try {
      const { gateway } = fleet;
      const [node] = fleet.nodes as [EmulatedNode];
      await node.faults.set({ loseAnswer: { times: 1 } });
      const accepted = await gateway.submit(['echo'], { n: 1 });
      await node.faults.set({ hang: { times: 1, method: 'POST' } });
      const unknown = await gateway.submit(['echo'], { n: 2 });
      await gateway.pause();
      await gateway.resume();
      const rows = await gateway.finished([accepted, unknown]);
      expect(rows.map(({ result }) => result?.output)).toEqual([{ n: 1 }, { n: 2 }]);
      expect(node.executions).toHaveLength(2);
    } finally {
      await fleet.stop();
    }
  });

  it('a job whose node is gone meanwhile runs on another', async () => {
    const fleet = await startTestGateway({ nodes: [{}] });
    try {
      const { gateway } = fleet;
      const [node] = fleet.nodes as [EmulatedNode];
      const id = await gateway.submit(['delay'], { ms: 3_000 });
      await gateway.pause();
      await node.restart();
      await gateway.resume();
      expect((await gateway.finished([id]))[0]?.status).toBe('success');
      expect(node.executions.map(({ outcome }) => outcome)).toEqual(['lost', 'success']);
    } finally {
      await fleet.stop();
    }
  });
});

describe('while the database is away', () => {
  let server: TestPostgres;
  let gateway: TestGateway;
  let node: EmulatedNode;

  beforeAll(async () => {
    server = await TestPostgres.start();
    gateway = await TestGateway.start({ DATABASE_URL: server.url });
    node = await EmulatedNode.start({ rateLimit: false });
    await gateway.register(node.url);
  });
  afterAll(async () => {
    await gateway.stop();
    await node.stop();
    await server.stop();
  });

  it('answers 503 with Retry-After, forgets nothing, and goes on by itself', async () => {
    const before = await gateway.submit(['echo'], { n: 1 });
    await gateway.finished([before]);
    const running = await gateway.submit(['delay'], { ms: 500 });
    await server.crash();

    const submissions = fleetSubmissions();
    for (const request of [
      () => gateway.post('{"containers":["echo"],"data":{}}'),
      () => gateway.getResults([before]),
      () => gateway.send('/api/jobs'),
    ]) {
      const reply = await request();
      expect(reply.status).toBe(503);
      expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
      expect(reply.headers['content-type']).toMatch(/^application\/json\b/);
      expect(json(reply)).toMatchObject({ error: expect.any(String) });
    }
    expect(fleetSubmissions()).toBe(submissions);
    const admin = await gateway.admin('POST', '/nodes', { url: 'http://127.0.0.1:1' });
    expect(admin.status).toBe(503);
    expect(admin.headers['content-type']).toMatch(/^application\/problem\+json\b/);
    expect((await gateway.send('/info')).status).toBe(200);
    expect((await gateway.send('/health')).status).toBe(200);
    // The job ends on its node while nothing can be stored.
    await node.idle();

    await server.revive();
    const after = await waitUntil('a job is accepted again', async () => {
      const reply = await gateway.post('{"containers":["echo"],"data":{"n":2}}');
      return reply.status === 200 ? json<{ id: string }>(reply).id : undefined;
    });
    const rows = await gateway.finished([before, running, after]);
    expect(rows.map(({ status }) => status)).toEqual(['success', 'success', 'success']);
    expect(node.executions.filter(({ jobId }) => jobId === running)).toHaveLength(1);
  });

  it('a crash under load loses no job that was answered for', async () => {
    const ids: string[] = [];
    let isOver = false;
    const callers = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        const reply = await gateway.post('{"containers":["echo"],"data":{}}');
        expect([200, 503]).toContain(reply.status);
        if (reply.status === 200) ids.push(json<{ id: string }>(reply).id);
      }
    });
    await waitUntil('jobs flow', () => ids.length > 50);
    await server.crash();
    await server.revive();
    const survived = ids.length;
    await waitUntil('jobs flow again', () => ids.length > survived + 50);
    isOver = true;
    await Promise.all(callers);
    for (const { status } of await gateway.finished(ids)) expect(status).toBe('success');
  });

  const fleetSubmissions = (): number => node.received.filter(({ method }) => method === 'POST').length;
});
