import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';

import { delegatedBody, SIGNER } from '../../src/emulator/delegated.fixture.js';
import type { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { GatewayProcess } from '../support/gateway-process.js';
import { send } from '../support/http.js';
import { at, BLIND, QUICK } from '../support/recovery.js';
import { TestReplicas } from '../support/replicas.js';
import { subscriptionViews, whenSubscription } from '../support/subscriptions.js';
import { waitUntil } from '../support/wait.js';

const CHAIN = { chainAddress: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8' };
const signer = SIGNER.address.toLowerCase();

let closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.toReversed()) await close();
  closing = [];
});

async function start(count: number, settings: Record<string, string> = QUICK): Promise<TestFleet> {
  const fleet = await startTestGateway({ nodes: Array.from({ length: count }, () => CHAIN), settings });
  closing.push(() => fleet.stop());
  return fleet;
}

async function accepted(fleet: TestFleet, body: string): Promise<void> {
  const reply = await fleet.gateway.post(body);
  expect({ status: reply.status, text: reply.text }).toEqual({ status: 200, text: '{}\n' });
}

/** How many subscriptions were sent to each node, the least first. */
const sends = (nodes: readonly EmulatedNode[]): number[] => nodes.map(sendsTo).sort((a, b) => a - b);

const sendsTo = (node: EmulatedNode): number =>
  node.received.filter(({ method, body }) => method === 'POST' && body.includes('subscription')).length;

describe('a node that cannot be reached', () => {
  it('another one gets it at once', async () => {
    const fleet = await start(2, BLIND);
    at(fleet.nodes, 0).kill();
    await accepted(fleet, await delegatedBody({ nonce: 1 }));
    await accepted(fleet, await delegatedBody({ nonce: 2 }));
    await waitUntil('both are there', () => at(fleet.nodes, 1).subscriptions.length === 2);
    const views = await subscriptionViews(fleet.gateway);
    expect(views.map(({ state }) => state)).toEqual(['accepted', 'accepted']);
    // Only the first of them met the dead node.
    expect(views.flatMap(({ offers }) => offers.map(({ state }) => state)).sort()).toEqual([
      'accepted',
      'accepted',
      'unreachable',
    ]);
  });

  it('with no other, it waits until the node is back', async () => {
    const fleet = await start(1);
    const node = at(fleet.nodes, 0);
    node.kill();
    await fleet.gateway.seen(at(fleet.registered, 0).id, 'down');
    await accepted(fleet, await delegatedBody());
    const [view] = await subscriptionViews(fleet.gateway);
    expect(view).toMatchObject({ state: 'open', offers: [] });
    await node.restart();
    await whenSubscription(fleet.gateway, 'is accepted', ({ state }) => state === 'accepted');
    expect(node.subscriptions).toMatchObject([{ signer, tracked: true, times: 1 }]);
  });

  it('what waits survives a restart of the gateway', async () => {
    const fleet = await start(1);
    const node = at(fleet.nodes, 0);
    node.kill();
    await fleet.gateway.seen(at(fleet.registered, 0).id, 'down');
    await accepted(fleet, await delegatedBody());
    await fleet.gateway.pause();
    await node.restart();
    await fleet.gateway.resume();
    const view = await whenSubscription(fleet.gateway, 'is over', ({ state }) => state !== 'open');
    expect(view.state).toBe('accepted');
  });
});

describe('an answer that is lost', () => {
  it('the same node is asked again, and no other', async () => {
    const fleet = await start(2);
    for (const { faults } of fleet.nodes) await faults.set({ resetAfterAccept: { times: 1 } });
    await accepted(fleet, await delegatedBody());
    const view = await whenSubscription(fleet.gateway, 'is accepted', ({ state }) => state === 'accepted');
    expect(view.offers).toMatchObject([{ state: 'accepted', sends: 2 }]);
    expect(sends(fleet.nodes)).toEqual([0, 2]);
    expect(fleet.nodes.flatMap(({ subscriptions }) => subscriptions)).toMatchObject([{ times: 2 }]);
  });

  it('a node that stays silent keeps it until NO_ANSWER_MS, then another gets it', async () => {
    const fleet = await start(2, {
      ...QUICK,
      NO_ANSWER_MS: '400',
      SUBMIT_TIMEOUT_MS: '300',
      RETRY_MAX_MS: '200',
    });
    const [first, second] = [at(fleet.nodes, 0), at(fleet.nodes, 1)];
    await second.faults.set({ refuse: true });
    await fleet.gateway.seen(at(fleet.registered, 1).id, 'down');
    await first.faults.set({ hang: { method: 'POST' } });
    await accepted(fleet, await delegatedBody());
    await second.faults.set({ refuse: false });
    await whenSubscription(fleet.gateway, 'is accepted elsewhere', ({ state }) => state === 'accepted');
    const [view] = await subscriptionViews(fleet.gateway);
    expect(view?.offers.map(({ state }) => state)).toEqual(['lost', 'accepted']);
    expect(sendsTo(first)).toBeGreaterThan(1);
    expect(sendsTo(second)).toBe(1);
  });
});

describe('time', () => {
  it('one that no node took by the end of its signature has expired', async () => {
    const fleet = await start(1);
    at(fleet.nodes, 0).kill();
    await fleet.gateway.seen(at(fleet.registered, 0).id, 'down');
    await accepted(fleet, await delegatedBody({ expiry: Math.floor(Date.now() / 1_000) + 2 }));
    const view = await whenSubscription(fleet.gateway, 'is over', ({ state }) => state !== 'open');
    expect(view.state).toBe('expired');
  });

  it('JOB_DEADLINE ends the offering too', async () => {
    const fleet = await start(1, { ...QUICK, JOB_DEADLINE: '1s' });
    at(fleet.nodes, 0).kill();
    await fleet.gateway.seen(at(fleet.registered, 0).id, 'down');
    await accepted(fleet, await delegatedBody());
    const view = await whenSubscription(fleet.gateway, 'is over', ({ state }) => state !== 'open');
    expect(view.state).toBe('expired');
  });
});

describe('operators', () => {
  it('offer it anew to a node that has forgotten it', async () => {
    const fleet = await start(2);
    await accepted(fleet, await delegatedBody());
    const view = await whenSubscription(fleet.gateway, 'is accepted', ({ state }) => state === 'accepted');
    const node = at(
      fleet.nodes,
      fleet.nodes.findIndex(({ subscriptions }) => subscriptions.length === 1),
    );
    await node.restart();
    expect(node.subscriptions).toEqual([]);
    expect((await fleet.gateway.admin('POST', `/subscriptions/${view.id}/retry`)).status).toBe(200);
    await waitUntil('the node has it again', () => node.subscriptions.length === 1);
    expect(sends(fleet.nodes)).toEqual([0, 2]);
  });

  it('see why it was refused', async () => {
    const fleet = await start(1);
    expect((await fleet.gateway.post(await delegatedBody({ containers: ['internal'] }))).status).toBe(405);
    const [view] = await subscriptionViews(fleet.gateway);
    expect(view).toMatchObject({
      state: 'refused',
      offers: [{ state: 'refused', reason: 'refused: First container must be external' }],
    });
    const missing = '00000000-0000-7000-8000-000000000000';
    expect((await fleet.gateway.admin('GET', `/subscriptions/${missing}`)).status).toBe(404);
    expect((await fleet.gateway.admin('GET', '/subscriptions?status=nope')).status).toBe(400);
    expect((await fleet.gateway.send('/admin/subscriptions')).status).toBe(401);
  });
});

describe('several replicas', () => {
  it('a subscription for a node of another replica is sent by that one', async () => {
    const replicas = await TestReplicas.start({ gateways: 2, nodes: [CHAIN, CHAIN] });
    closing.push(() => replicas.stop());
    for (let nonce = 0; nonce < 6; nonce += 1) {
      const reply = await replicas.gateway(nonce % 2).post(await delegatedBody({ nonce, redundancy: 2 }));
      expect(reply.text).toBe('{}\n');
    }
    await waitUntil('both nodes have all', () =>
      replicas.nodes.every(({ subscriptions }) => subscriptions.length === 6),
    );
    for (const node of replicas.nodes) expect(sendsTo(node)).toBe(6);
  });

  it('the same request handed to both at once is taken once', async () => {
    const replicas = await TestReplicas.start({ gateways: 2, nodes: [CHAIN, CHAIN] });
    closing.push(() => replicas.stop());
    const body = await delegatedBody();
    const replies = await Promise.all(replicas.gateways.map((gateway) => gateway.post(body)));
    for (const reply of replies) expect(reply.text).toBe('{}\n');
    await whenSubscription(replicas.gateway(0), 'is accepted', ({ state }) => state === 'accepted');
    expect(await subscriptionViews(replicas.gateway(1))).toHaveLength(1);
    expect(sends(replicas.nodes)).toEqual([0, 1]);
  });

  it('kill -9 between commit and answer: the next holder of the lease asks the same node again', async () => {
    const settings = { ...QUICK, ANSWER_WITHIN_MS: '3000', SUBMIT_TIMEOUT_MS: '60000' };
    const replicas = await TestReplicas.start({ gateways: 1, nodes: [CHAIN, CHAIN], settings });
    closing.push(() => replicas.stop());
    const ADMIN_TOKEN = 'an-admin-token-of-the-tests';
    const victim = await GatewayProcess.start({
      ...settings,
      ADMIN_TOKEN,
      DATABASE_URL: replicas.databaseUrl,
    });
    closing.push(() => victim.kill());
    await replicas.balanced(2);
    for (const { faults } of replicas.nodes) await faults.set({ hang: { method: 'POST' } });
    const headers = { 'content-type': 'application/json' };
    const subscribe = async (nonce: number): Promise<void> => {
      const body = await delegatedBody({ nonce, redundancy: 2 });
      const reply = await send(`${victim.url}/api/jobs`, { method: 'POST', headers, body });
      expect(reply.text).toBe('{}\n');
    };
    for (let nonce = 0; nonce < 5; nonce += 1) await subscribe(nonce);
    await victim.kill();
    for (const { faults } of replicas.nodes) await faults.clear();
    // What this process had under way hangs on its own until SUBMIT_TIMEOUT_MS; a restarted node ends it.
    for (const node of replicas.nodes) await node.restart();
    await waitUntil(
      'both nodes have all',
      () => replicas.nodes.every(({ subscriptions }) => subscriptions.length === 5),
      { withinMs: 40_000 },
    );
    const views = await subscriptionViews(replicas.gateway(0));
    expect(views.flatMap(({ offers }) => offers.map(({ state }) => state))).toEqual(
      Array(10).fill('accepted'),
    );
  });
});

it('handed in again a minute after it was accepted, it goes to the same node again', async () => {
  const { databaseUrl, gateway, nodes } = await startWithDatabase();
  const body = await delegatedBody();
  expect((await gateway.post(body)).text).toBe('{}\n');
  await whenSubscription(gateway, 'is accepted', ({ state }) => state === 'accepted');
  expect((await gateway.post(body)).text).toBe('{}\n');
  expect(sends(nodes)).toEqual([0, 1]);
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(`UPDATE subscriptions SET finished_at = finished_at - interval '2 minutes'`);
  await client.end();
  expect((await gateway.post(body)).text).toBe('{}\n');
  await waitUntil('it was sent again', () => sends(nodes).join() === '0,2');
  expect(await subscriptionViews(gateway)).toHaveLength(1);
});

async function startWithDatabase(): Promise<{
  databaseUrl: string;
  gateway: TestFleet['gateway'];
  nodes: EmulatedNode[];
}> {
  const replicas = await TestReplicas.start({ gateways: 1, nodes: [CHAIN, CHAIN] });
  closing.push(() => replicas.stop());
  return { databaseUrl: replicas.databaseUrl, gateway: replicas.gateway(0), nodes: replicas.nodes };
}
