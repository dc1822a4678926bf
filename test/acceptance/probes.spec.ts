import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { TestGateway, startTestGateway } from '../support/gateway.js';
import { json } from '../support/http.js';
import { TestPostgres } from '../support/postgres.js';
import { TestRedis } from '../support/redis.js';
import { hasTool } from '../support/requirements.js';
import { waitUntil } from '../support/wait.js';

interface Readiness {
  readonly status: string;
  readonly checks: Readonly<Record<string, { ok: boolean; required: boolean }>>;
  readonly nodes: { registered: number; up: number };
}

it('a gateway with a node is live and ready, and says what it looked at', async () => {
  const fleet = await startTestGateway({ nodes: [{}] });
  try {
    const live = await fleet.gateway.send('/live');
    expect([live.status, json(live)]).toEqual([200, { status: 'live' }]);
    const ready = await fleet.gateway.send('/ready');
    expect(ready.headers['content-type']).toMatch(/^application\/json\b/);
    expect(ready.headers['cache-control']).toBe('no-store');
    expect([ready.status, json(ready)]).toEqual([
      200,
      {
        status: 'ready',
        checks: {
          running: { ok: true, required: true },
          database: { ok: true, required: true },
          migrations: { ok: true, required: true },
          queue: { ok: true, required: false },
          nodes: { ok: true, required: false },
        },
        nodes: { registered: 1, up: 1 },
      },
    ]);
  } finally {
    await fleet.stop();
  }
});

it('a gateway without nodes is ready, and says so', async () => {
  const gateway = await TestGateway.start();
  try {
    const reply = await gateway.send('/ready');
    expect(reply.status).toBe(200);
    expect(json(reply)).toMatchObject({ checks: { nodes: { ok: false } }, nodes: { registered: 0, up: 0 } });
  } finally {
    await gateway.stop();
  }
});

describe('without its database', () => {
  let server: TestPostgres;
  let gateway: TestGateway;
  beforeAll(async () => {
    server = await TestPostgres.start();
    gateway = await TestGateway.start({ DATABASE_URL: server.url });
  });
  afterAll(async () => {
    await gateway.stop();
    await server.stop();
  });

  const whenReady = (status: number): Promise<Readiness> =>
    waitUntil(`/ready says ${status}`, async () => {
      const reply = await gateway.send('/ready');
      return reply.status === status ? json<Readiness>(reply) : undefined;
    });

  it('is live and not ready while the server is gone, or stands still, and ready afterwards', async () => {
    await whenReady(200);
    await server.crash();
    const { status, checks } = await whenReady(503);
    expect(status).toBe('not ready');
    expect(checks).toMatchObject({
      running: { ok: true },
      database: { ok: false },
      migrations: { ok: false },
    });
    expect((await gateway.send('/live')).status).toBe(200);
    await server.revive();
    await whenReady(200);
    await server.freeze();
    expect((await whenReady(503)).checks['database']).toEqual({ ok: false, required: true });
    server.thaw();
    await whenReady(200);
  });
});

describe.skipIf(!hasTool('redis-server', 'readiness without Redis'))('without its Redis', () => {
  it('stays ready, since jobs are still stored and run, and says that the queue is away', async () => {
    const redis = await TestRedis.start();
    const gateway = await TestGateway.start({ REDIS_URL: redis.url });
    try {
      await redis.kill();
      const report = await waitUntil('the queue is seen to be away', async () => {
        const reply = await gateway.send('/ready');
        const found = json<Readiness>(reply);
        return found.checks['queue']?.ok === false ? { code: reply.status, ...found } : undefined;
      });
      expect(report).toMatchObject({ code: 200, status: 'ready', checks: { database: { ok: true } } });
    } finally {
      await redis.launch();
      await gateway.stop();
      await redis.stop();
    }
  });
});
