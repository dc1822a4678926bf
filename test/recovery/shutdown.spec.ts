import pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { GatewayProcess } from '../support/gateway-process.js';
import { json, send, type RawReply } from '../support/http.js';
import { TestRedis } from '../support/redis.js';
import { hasTool } from '../support/requirements.js';
import { waitUntil } from '../support/wait.js';

let database: TestDatabase;
let node: EmulatedNode;
let gateway: GatewayProcess;

beforeEach(async () => {
  database = await createTestDatabase();
  node = await EmulatedNode.start({ rateLimit: false });
});
afterEach(async () => {
  await gateway.kill();
  await node.stop();
  await database.drop();
});

const start = async (settings: Record<string, string> = {}): Promise<void> => {
  gateway = await GatewayProcess.start({
    ADMIN_TOKEN: 'an-admin-token-of-the-tests',
    DATABASE_URL: database.url,
    NODES: node.url,
    LOG_LEVEL: 'info',
    ...settings,
  });
  await waitUntil('the node is up', async () => {
    return json<{ nodes: { up: number } }>(await send(`${gateway.url}/ready`)).nodes.up === 1;
  });
};

const post = (containers: string[], data: object): Promise<RawReply> =>
  send(`${gateway.url}/api/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ containers, data }),
  });

/** Phases of the stop, as they were logged. */
const phases = (): string[] =>
  [...gateway.output.matchAll(/"phase":"([a-z ]+)"/g)].map(([, name]) => name as string);

async function unfinished(): Promise<number> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    const sql = 'SELECT count(*)::int AS count FROM jobs WHERE finished_at IS NULL';
    return (await client.query<{ count: number }>(sql)).rows[0]?.count ?? 0;
  } finally {
    await client.end();
  }
}

it('SIGTERM under load: callers that heed /ready see no error, and no job is lost or runs twice', async () => {
  await start({ SHUTDOWN_GRACE_MS: '1500' });
  const ids: string[] = [];
  const failures: unknown[] = [];
  let leaving = false;
  const callers = Array.from({ length: 6 }, async (_, caller) => {
    while (!leaving) {
      try {
        const reply = await post(['delay'], { ms: 30 });
        if (reply.status === 200) ids.push(json<{ id: string }>(reply).id);
        else failures.push(reply.text);
        // As a load balancer that asks now and then.
        if (caller === 0 && (await send(`${gateway.url}/ready`)).status !== 200) leaving = true;
      } catch (error) {
        failures.push(error);
        leaving = true;
      }
    }
  });
  await waitUntil('jobs flow', () => ids.length > 50);
  gateway.signal('SIGTERM');
  await Promise.all(callers);
  expect(await gateway.ended()).toBe(0);
  expect(failures).toEqual([]);
  expect(phases()).toEqual(['leave', 'requests', 'dispatch', 'lanes', 'queue', 'connections']);
  expect(gateway.output).not.toMatch(/out of time/);

  await start();
  await waitUntil('all jobs have ended', async () => (await unfinished()) === 0);
  const executed = node.executions.map(({ jobId }) => jobId);
  expect(new Set(executed)).toEqual(new Set(ids));
  expect(executed).toHaveLength(ids.length);
});

it('requests in flight are answered, those that wait for a result at once, while new ones are turned away', async () => {
  await start();
  const long = json<{ id: string }>(await post(['delay'], { ms: 60_000 })).id;
  // The node gets the submission and answers only after the stop has begun.
  await node.faults.set({ frozen: { forMs: 600_000 } });
  const slow = post(['delay'], { ms: 10 });
  await waitUntil('the submission is stored', async () => (await unfinished()) === 2);
  const waiting = send(`${gateway.url}/api/jobs?id=${long}`, { headers: { prefer: 'wait=4' } });
  // Connections are taken in order: once a later one has been answered twice, the earlier ones are being served.
  for (let n = 0; n < 2; n += 1) expect((await send(`${gateway.url}/live`)).status).toBe(200);
  gateway.signal('SIGTERM');
  await waitUntil('it is leaving', () => phases().includes('leave'));
  await waitUntil('new connections are refused', async () => {
    return send(`${gateway.url}/live`).then(
      () => false,
      () => true,
    );
  });
  expect(json(await waiting)).toMatchObject([{ id: long, status: 'running' }]);
  await node.faults.clear();
  const reply = await slow;
  expect([reply.status, reply.headers['connection']]).toEqual([200, 'close']);
  expect(await gateway.ended()).toBe(0);
});

it('a second signal ends it at once, with the code of that signal', async () => {
  await start({ SHUTDOWN_GRACE_MS: '600000' });
  gateway.signal('SIGTERM');
  const reply = await waitUntil('it says that it is not ready', async () => {
    const ready = await send(`${gateway.url}/ready`);
    return ready.status === 503 ? ready : undefined;
  });
  expect(json(reply)).toMatchObject({ status: 'not ready', checks: { running: { ok: false } } });
  // Until the grace is over everything is served as usual.
  expect((await post(['echo'], {})).status).toBe(200);
  gateway.signal('SIGINT');
  expect(await gateway.ended()).toBe(130);
});

it.skipIf(!hasTool('redis-server', 'a stop while Redis is away'))(
  'a stop while Redis is away runs out of no budget',
  async () => {
    const redis = await TestRedis.start();
    try {
      await start({ REDIS_URL: redis.url });
      await redis.kill();
      await waitUntil('it is seen to be away', async () => {
        const { checks } = json<{ checks: { queue: { ok: boolean } } }>(await send(`${gateway.url}/ready`));
        return !checks.queue.ok;
      });
      gateway.signal('SIGTERM');
      expect(await gateway.ended()).toBe(0);
      expect(phases()).toEqual(['leave', 'requests', 'dispatch', 'lanes', 'queue', 'connections']);
      expect(gateway.output).not.toMatch(/out of time/);
    } finally {
      await redis.stop();
    }
  },
);
