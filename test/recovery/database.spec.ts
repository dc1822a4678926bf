import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { TestGateway } from '../support/gateway.js';
import { json } from '../support/http.js';
import { TestPostgres } from '../support/postgres.js';
import { executionsOf, jobView, QUICK, submissionsTo, whyNot } from '../support/recovery.js';
import { StreamCaller } from '../support/stream-caller.js';
import { waitUntil } from '../support/wait.js';

let server: TestPostgres;
let gateway: TestGateway;
let node: EmulatedNode;

beforeAll(async () => {
  server = await TestPostgres.start();
  gateway = await TestGateway.start({ ...QUICK, ANSWER_WITHIN_MS: '2000', DATABASE_URL: server.url });
});
afterAll(async () => {
  await gateway.stop();
  await server.stop();
});
beforeEach(async () => {
  node = await EmulatedNode.start({ rateLimit: false });
  await gateway.register(node.url);
});
afterEach(async () => {
  for (const { id } of await gateway.nodes()) await gateway.admin('DELETE', `/nodes/${id}?force=true`);
  await node.stop();
});

/** Callers that hand jobs in all the time and write down what they were told. */
function load(callers: number): { ids: string[]; refusals: number[]; stop: () => Promise<void> } {
  const ids: string[] = [];
  const refusals: number[] = [];
  let isOver = false;
  const running = Array.from({ length: callers }, async () => {
    while (!isOver) {
      const reply = await gateway.post('{"containers":["delay"],"data":{"ms":100}}');
      if (reply.status === 200) ids.push(json<{ id: string }>(reply).id);
      else {
        refusals.push(reply.status);
        expect(json(reply)).toEqual({ error: expect.any(String), params: {} });
        expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
      }
    }
  });
  return {
    ids,
    refusals,
    stop: async () => {
      isOver = true;
      await Promise.all(running);
    },
  };
}

describe('Postgres away', () => {
  it('crashed under load: 503 meanwhile, then everything acknowledged ends, collected again where need be', async () => {
    const { ids, refusals, stop } = load(6);
    await waitUntil('jobs flow', () => ids.length > 60);
    const acknowledged = [...ids];
    await server.crash();
    await waitUntil('submissions are refused', () => refusals.length > 20);
    const submissions = submissionsTo(node);
    // What runs ends on the node while nothing can be stored.
    await node.idle();
    expect(submissionsTo(node)).toBe(submissions);
    await server.revive();
    const before = ids.length;
    await waitUntil('jobs flow again', () => ids.length > before + 30);
    await stop();
    expect(new Set(refusals)).toEqual(new Set([503]));
    for (const { status } of await gateway.finished(ids, {}, 40_000)) expect(status).toBe('success');
    for (const id of acknowledged) {
      expect(executionsOf(await jobView(gateway, id), [node]), id).toHaveLength(1);
    }
    const listed = await gateway.ids('?pending=true');
    expect(listed).toEqual([]);
  });

  it('crashed for longer than a lease lasts: a gateway that is alone says that nobody works with its node', async () => {
    const [known] = await gateway.nodes();
    const reason = () => whyNot(gateway, 'echo', known?.id ?? '');
    await waitUntil('it may have jobs', async () => (await reason()) === null);
    await server.crash();
    await waitUntil('the lease is over', async () => (await reason()) !== null);
    expect(await reason()).toBe('no replica holds its lease right now');
    await server.revive();
    await waitUntil('it may have jobs again', async () => (await reason()) === null);
  });

  it('crashed again and again: the same gateway goes on each time', async () => {
    for (let round = 0; round < 3; round += 1) {
      const running = await gateway.submit(['delay'], { ms: 300 });
      await server.crash();
      await node.idle();
      await server.revive();
      expect(await gateway.finished([running])).toMatchObject([{ status: 'success' }]);
      expect(node.executions.filter(({ jobId }) => jobId === running)).toHaveLength(1);
    }
  });

  it('frozen: a submission is answered 503 within 4 s, and what was not acknowledged is not kept', async () => {
    const before = await gateway.submit(['echo'], { n: 1 });
    await gateway.finished([before]);
    const known = await gateway.ids();
    const submissions = submissionsTo(node);
    await server.freeze();
    const startedAt = performance.now();
    const replies = await Promise.all([1, 2, 3].map(() => gateway.post('{"containers":["echo"],"data":{}}')));
    expect(performance.now() - startedAt).toBeLessThan(4_000);
    for (const reply of replies) {
      expect(reply.status).toBe(503);
      expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
      expect(reply.headers['content-type']).toMatch(/^application\/json\b/);
    }
    expect(submissionsTo(node)).toBe(submissions);
    server.thaw();
    await waitUntil('a job is accepted again', async () => {
      const reply = await gateway.post('{"containers":["echo"],"data":{"n":2}}');
      if (reply.status !== 200) return false;
      const { id } = json<{ id: string }>(reply);
      known.push(id);
      return (await gateway.finished([id]))[0]?.status === 'success';
    });
    await waitUntil('only what was acknowledged is there', async () => {
      return JSON.stringify(await gateway.ids()) === JSON.stringify(known);
    });
  });

  it('frozen: a stream is answered 503, the node that was asked meanwhile is let go, and no other is asked', async () => {
    const long = { count: 2_000, size: 8, interval_ms: 50 };
    const stream = async (): Promise<StreamCaller> => {
      // It stays connected, so it is not its leaving that lets the node go.
      const caller = StreamCaller.start(gateway.url, ['pieces'], long, { connection: 'keep-alive' });
      await waitUntil('there is an answer', () => caller.status !== 0);
      return caller;
    };
    const known = await gateway.ids();
    await server.freeze();
    const [first] = await Promise.all([
      stream(),
      waitUntil('the node is asked', () => node.load.busySlots === 1),
    ]);
    expect(first.status).toBe(503);
    expect(Number(first.header('retry-after'))).toBeGreaterThan(0);
    await waitUntil('the node is let go', () => node.load.busySlots === 0);
    expect((await stream()).status).toBe(503);
    expect(node.executions).toHaveLength(1);
    server.thaw();
    await waitUntil('it is as if they had never been', async () => {
      const waits = (await gateway.nodes()).some(({ inFlight }) => inFlight > 0);
      return !waits && JSON.stringify(await gateway.ids()) === JSON.stringify(known);
    });
    const short = StreamCaller.start(gateway.url, ['pieces'], { count: 2 });
    expect(await short.ended).toBe(true);
  });
});
