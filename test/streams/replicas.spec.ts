import pg from 'pg';
import { afterEach, expect, it } from 'vitest';

import { GatewayProcess } from '../support/gateway-process.js';
import { jobView, QUICK } from '../support/recovery.js';
import { TestReplicas } from '../support/replicas.js';
import { StreamCaller } from '../support/stream-caller.js';
import { waitUntil } from '../support/wait.js';

let replicas: TestReplicas;

afterEach(() => replicas.stop());

it('a stream reaches a node of another replica by its permit, and gives the place back', async () => {
  replicas = await TestReplicas.start({
    gateways: 2,
    nodes: [{ containers: ['pieces'] }, { containers: ['echo'] }],
  });
  for (const gateway of replicas.gateways) {
    const caller = StreamCaller.start(gateway.url, ['pieces'], { count: 3, size: 4, interval_ms: 20 });
    expect(await caller.ended).toBe(true);
    expect(caller.output).toBe('strestrestre');
    expect(await jobView(gateway, caller.id)).toMatchObject({
      state: 'succeeded',
      attempts: [{ state: 'succeeded', number: 1 }],
    });
  }
  for (const gateway of replicas.gateways) {
    await waitUntil('no place is taken', async () =>
      (await gateway.nodes()).every(({ inFlight }) => inFlight === 0),
    );
  }
});

it('many streams share a node with the other replica, and those without a place are told when to come back', async () => {
  replicas = await TestReplicas.start({
    gateways: 2,
    // Each replica works with one of them.
    nodes: [{ containers: ['pieces'] }, { containers: ['echo'] }],
    settings: { STREAM_WAIT_MS: '1500' },
  });
  await replicas.gateway(0).admin('PATCH', `/nodes/${replicas.registered[0]?.id}`, { maxInFlight: 1 });
  const urls = replicas.gateways.map(({ url }) => url);
  const first = StreamCaller.start(urls[0] as string, ['pieces'], { count: 1_000, interval_ms: 50 });
  await waitUntil('output', () => first.output.length > 0);
  const others = urls.map((url) => StreamCaller.start(url, ['pieces'], { count: 1 }));
  for (const caller of others) {
    await caller.ended;
    expect(caller.status).toBe(503);
  }
  first.leave();
  await waitUntil('the place is free', () => replicas.node(0).load.busySlots === 0);
  for (const url of urls) expect(await StreamCaller.start(url, ['pieces'], { count: 1 }).ended).toBe(true);
});

it('a stream whose gateway was killed ends in a result, and does not run again', async () => {
  replicas = await TestReplicas.start({ gateways: 1, nodes: [{ containers: ['pieces'] }] });
  const killed = await GatewayProcess.start({
    ...QUICK,
    DATABASE_URL: replicas.databaseUrl,
    ADMIN_TOKEN: replicas.gateway(0).adminToken,
  });
  const caller = StreamCaller.start(killed.url, ['pieces'], { count: 1_000, interval_ms: 50 });
  await waitUntil('output', () => caller.output.length > 0);
  await killed.kill();
  expect(await caller.ended).toBe(false);
  // The node let the job go with its caller, and forgets it in time; a restart makes that soon.
  await replicas.node(0).restart();
  const [row] = await replicas.gateway(0).finished([caller.id], {}, 45_000);
  expect(row).toMatchObject({
    status: 'failed',
    result: { error: 'The stream was cut off, and the node could not say how it ended' },
  });
  expect(replicas.node(0).executions).toHaveLength(1);
});

it('a stream whose next node was lost to another replica just before it got there ends, and so does its row', async () => {
  replicas = await TestReplicas.start({
    gateways: 1,
    nodes: [{ containers: ['pieces'] }, { containers: ['pieces'] }],
    settings: { STREAM_WAIT_MS: '1000' },
  });
  const { url } = replicas.gateway(0);
  const database = new pg.Client({ connectionString: replicas.databaseUrl });
  await database.connect();
  const caller = StreamCaller.start(url, ['pieces'], { count: 2, interval_ms: 60_000 });
  await waitUntil('the node has it', () => caller.id !== '');
  const index = replicas.nodes.findIndex(({ load }) => load.busySlots > 0);
  const other = replicas.registered[1 - index]?.id;
  const renewed = async (): Promise<string> =>
    (await database.query<{ until: string }>('SELECT max(lease_until)::text AS until FROM nodes')).rows[0]
      ?.until ?? '';
  // The gateway notices at its next renewal; should that come first, it finds no other node, which ends it too.
  const before = await renewed();
  await waitUntil('it has just been renewed', async () => (await renewed()) !== before);
  await database.query(
    `UPDATE nodes SET lease_holder = gen_random_uuid(), lease_fence = lease_fence + 1, lease_until = now() + interval '1 hour'
     WHERE id = $1`,
    [other],
  );
  await database.end();
  replicas.node(index).kill();
  expect(await caller.ended).toBe(false);
  const [row] = await replicas.gateway(0).finished([caller.id]);
  expect(row).toMatchObject({ status: 'failed' });
  expect(await jobView(replicas.gateway(0), caller.id)).toMatchObject({
    state: 'failed',
    attempts: [{ state: 'lost', number: 1 }],
  });
  expect(replicas.node(1 - index).executions).toEqual([]);
});

it('a stream lets a node go whose lease was lost before the stream was stored, and asks again under the next one', async () => {
  replicas = await TestReplicas.start({ gateways: 1, nodes: [{ containers: ['pieces'] }] });
  const database = new pg.Client({ connectionString: replicas.databaseUrl });
  await database.connect();
  const renewed = async (): Promise<string> =>
    (await database.query<{ until: string }>('SELECT lease_until::text AS until FROM nodes')).rows[0]
      ?.until ?? '';
  // The gateway notices at its next renewal, so there is time until then.
  const before = await renewed();
  await waitUntil('it has just been renewed', async () => (await renewed()) !== before);
  await database.query('UPDATE nodes SET lease_fence = lease_fence + 1');
  await database.end();
  const { url } = replicas.gateway(0);
  const caller = StreamCaller.start(url, ['pieces'], { count: 3, size: 4, interval_ms: 300 });
  expect(await caller.ended).toBe(true);
  expect(caller.output).toBe('strestrestre');
  expect(await jobView(replicas.gateway(0), caller.id)).toMatchObject({
    state: 'succeeded',
    attempts: [{ state: 'succeeded', number: 1 }],
  });
  const { executions } = replicas.node(0);
  expect(executions.map(({ outcome }) => outcome)).toEqual(['lost', 'success']);
});
