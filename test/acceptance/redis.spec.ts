import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { TestRedis } from '../support/redis.js';
import { hasTool } from '../support/requirements.js';

describe.skipIf(!hasTool('redis-server', 'a gateway with its queues on Redis'))('with REDIS_URL', () => {
  let redis: TestRedis;
  let fleet: TestFleet;
  beforeAll(async () => {
    redis = await TestRedis.start();
    fleet = await startTestGateway({ settings: { REDIS_URL: redis.url }, nodes: [{}, {}] });
  });
  afterAll(async () => {
    await fleet.stop();
    await redis.stop();
  });

  it('jobs run', async () => {
    const ids = await Promise.all(
      Array.from({ length: 50 }, (_, n) => fleet.gateway.submit(['echo'], { n })),
    );
    const rows = await fleet.gateway.finished(ids);
    expect(rows.map(({ result }) => result?.output)).toEqual(ids.map((_, n) => ({ n })));
  });

  it('losing Redis loses no job, and the gateway goes on without it', async () => {
    const running = await fleet.gateway.submit(['delay'], { ms: 400 });
    await redis.kill();
    const id = await fleet.gateway.submit(['echo'], { n: 1 });
    for (const { status } of await fleet.gateway.finished([running, id])) expect(status).toBe('success');
    await redis.launch();
    await fleet.gateway.finished([await fleet.gateway.submit(['echo'], {})]);
  });

  it('a restart of the gateway loses nothing', async () => {
    const running = await fleet.gateway.submit(['delay'], { ms: 500 });
    await fleet.gateway.pause();
    await fleet.gateway.resume();
    expect((await fleet.gateway.finished([running]))[0]?.status).toBe('success');
  });
});
