import { afterEach, describe, expect, it } from 'vitest';

import { delegatedBody, oldDelegatedBody, OWNER, SIGNER } from '../../src/emulator/delegated.fixture.js';
import type { EmulatedNodeOptions } from '../../src/emulator/options.js';
import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { json } from '../support/http.js';
import { waitUntil } from '../support/wait.js';

const CHAIN = { chainAddress: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8' };
const signer = SIGNER.address.toLowerCase();

let fleet: TestFleet;

afterEach(() => fleet.stop());

async function start(
  nodes: readonly EmulatedNodeOptions[],
  settings: Record<string, string> = {},
): Promise<void> {
  fleet = await startTestGateway({ nodes, settings: { RETRY_BASE_MS: '50', ...settings } });
}

/** Posts a delegated subscription. @returns status and parsed body */
async function post(body: string): Promise<{ status: number; body: unknown }> {
  const reply = await fleet.gateway.post(body);
  return { status: reply.status, body: json(reply) };
}

/** How many subscriptions each node has, in the order of the fleet. */
function taken(): number[] {
  return fleet.nodes.map(({ subscriptions }) => subscriptions.length);
}

const refused = (error: string, params: object = {}) => ({ status: 405, body: { error, params } });

describe('a delegated subscription', () => {
  it('reaches a node with a chain byte for byte, and its signature is valid there', async () => {
    await start([{}, CHAIN]);
    const body = await delegatedBody({ paymentAmount: 2n ** 255n + 1n, data: '{"x" : 1.0, "big":1E400}' });
    const planted = body.replace('{"signature"', '{"id":"mine","ip":"1.2.3.4","signature"');
    expect(await post(planted)).toEqual({ status: 200, body: {} });
    expect(taken()).toEqual([0, 1]);
    expect(fleet.nodes[1]?.subscriptions[0]).toMatchObject({
      signer,
      tracked: true,
      owner: OWNER.toLowerCase(),
    });
    expect(fleet.submissions().map(String)).toEqual([body]);
  });

  it('goes where its containers are: the hash of one, of an ordered pair, with and without 0x', async () => {
    await start([
      { ...CHAIN, containers: ['echo'] },
      { ...CHAIN, containers: ['step-one', 'step-two'] },
    ]);
    const wishes = [
      { containers: ['echo'], prefixed: false },
      { containers: ['step-one', 'step-two'], prefixed: true },
      { containers: ['step-two', 'step-one'], prefixed: false },
      { containers: ['step-two'], prefixed: true },
    ];
    for (const [nonce, wish] of wishes.entries()) {
      expect(await post(await delegatedBody({ nonce, ...wish }))).toEqual({ status: 200, body: {} });
    }
    expect(fleet.nodes.map(({ subscriptions }) => subscriptions.map(({ containers }) => containers))).toEqual(
      [[['echo']], [['step-one', 'step-two'], ['step-two', 'step-one'], ['step-two']]],
    );
    // Nobody else was asked.
    expect(fleet.submissions()).toHaveLength(4);
  });

  it('with an unknown hash is offered to nodes with a chain until one knows it', async () => {
    const three = ['step-one', 'step-two', 'echo'];
    await start([{ ...CHAIN, containers: ['echo'] }, { ...CHAIN, containers: three }, { containers: three }]);
    expect(await post(await delegatedBody({ containers: three }))).toEqual({ status: 200, body: {} });
    expect(taken()).toEqual([0, 1, 0]);
    const nowhere = await delegatedBody({ nonce: 1, containers: ['elsewhere'] });
    expect(await post(nowhere)).toMatchObject(
      refused('Container not supported', { container: expect.any(String) }),
    );
  });

  it('is refused in the words of a node', async () => {
    await start([{ ...CHAIN, allowedOwners: { 'step-one': [CHAIN.chainAddress] } }]);
    const expiry = Math.floor(Date.now() / 1_000) - 10;
    expect(await post(await delegatedBody({ expiry }))).toEqual(refused('Signature expired', { expiry }));
    expect(fleet.submissions()).toHaveLength(0);
    expect(await post(await delegatedBody({ containers: ['internal'] }))).toEqual(
      refused('First container must be external', { first_container: 'internal' }),
    );
    expect(await post(await delegatedBody({ containers: ['step-one'] }))).toEqual(
      refused('Container not allowed for address', { address: OWNER, container: 'step-one' }),
    );
    expect(await post(await delegatedBody({ verifier: OWNER }))).toEqual(
      refused('Container does not generate proof', { container: 'echo' }),
    );
    expect(taken()).toEqual([0]);
  });

  it('is refused when no node has a chain, and when it is malformed', async () => {
    await start([{}]);
    const body = await delegatedBody();
    expect(await post(body)).toEqual(refused('Chain not enabled'));
    const malformed = await post(body.replace('"v":', '"w":'));
    expect(malformed).toMatchObject({ status: 400, body: { params: { field: 'signature.v' } } });
    expect(fleet.submissions()).toHaveLength(0);
  });

  it('with containers beside it is an ordinary job', async () => {
    await start([{}]);
    const body = (await delegatedBody()).replace('{', '{"containers":["echo"],');
    const reply = await fleet.gateway.post(body);
    const [row] = await fleet.gateway.finished([json<{ id: string }>(reply).id]);
    expect(row?.status).toBe('success');
  });

  it('of the older form goes to nodes 0.x only, and one with a hash to later nodes only', async () => {
    await start([{ ...CHAIN, apiVersion: '0.2.0' }, CHAIN]);
    const old = { containers: ['step-one', 'step-two'] };
    expect(await post(await oldDelegatedBody(old))).toEqual({ status: 200, body: {} });
    expect(taken()).toEqual([1, 0]);
    expect(fleet.nodes[0]?.subscriptions[0]).toMatchObject({ ...old, signer, tracked: true });
    expect(await post(await delegatedBody())).toEqual({ status: 200, body: {} });
    expect(taken()).toEqual([1, 1]);
    expect(await post(await oldDelegatedBody({ containers: ['echo', 'nope'] }))).toEqual(
      refused('Container not supported', { container: 'nope' }),
    );
    await fleet.gateway.admin('DELETE', `/nodes/${fleet.registered[0]?.id}?force=true`);
    expect(await post(await oldDelegatedBody({ nonce: 9 }))).toEqual(
      refused('No node takes subscriptions of this form', { form: '0.x' }),
    );
  });
});

describe('in a batch', () => {
  it('each item is answered in its place, and a subscription is sent alone', async () => {
    await start([CHAIN, {}]);
    const items = [
      '{"containers":["echo"],"data":{"n":1}}',
      await delegatedBody({ nonce: 1 }),
      '{"containers":["nope"],"data":{}}',
      (await delegatedBody({ nonce: 2 })).replace('"r":', '"q":'),
      await delegatedBody({ nonce: 3, expiry: 1 }),
      '{"containers":["echo"],"data":{"n":2}}',
      await delegatedBody({ nonce: 4 }),
    ];
    const answers = json<Record<string, unknown>[]>(await fleet.gateway.postBatch(`[${items.join(',')}]`));
    const id = expect.stringMatching(/^[0-9a-f-]{36}$/);
    expect(answers).toEqual([
      { id },
      {},
      { error: 'Container not supported', params: { container: 'nope' } },
      { error: 'signature.r is missing', params: { field: 'signature.r', index: 3 } },
      { error: 'Signature expired', params: { expiry: 1 } },
      { id },
      {},
    ]);
    const ids = [answers[0], answers[5]].map((answer) => String(answer?.['id']));
    for (const { status } of await fleet.gateway.finished(ids)) expect(status).toBe('success');
    expect(fleet.nodes[0]?.subscriptions.map(({ nonce }) => nonce).sort()).toEqual([1, 4]);
    const batches = fleet.nodes.flatMap(({ received }) =>
      received.filter(({ path }) => path.endsWith('/batch')),
    );
    for (const { body } of batches) expect(body.toString()).not.toContain('subscription');
  });

  it('without a chain each subscription is refused and the jobs run once', async () => {
    await start([{}]);
    const items = [await delegatedBody(), '{"containers":["echo"],"data":{}}'];
    const answers = json<{ id?: string }[]>(await fleet.gateway.postBatch(`[${items.join(',')}]`));
    expect(answers[0]).toEqual({ error: 'Chain not enabled', params: {} });
    await fleet.gateway.finished([String(answers[1]?.id)]);
    expect(fleet.nodes[0]?.executions).toHaveLength(1);
  });

  it('of many subscriptions each is taken', async () => {
    await start([CHAIN, CHAIN]);
    const items = await Promise.all(Array.from({ length: 200 }, (_, nonce) => delegatedBody({ nonce })));
    const answers = json<object[]>(await fleet.gateway.postBatch(`[${items.join(',')}]`));
    expect(answers).toEqual(items.map(() => ({})));
    await waitUntil('all are taken', () => taken().reduce((sum, count) => sum + count) === 200);
    for (const count of taken()) expect(count).toBeGreaterThan(0);
  });
});

describe('redundancy', () => {
  it('is how many distinct nodes get it', async () => {
    await start([CHAIN, CHAIN, CHAIN, {}]);
    await post(await delegatedBody({ redundancy: 2 }));
    await waitUntil('two nodes have it', () => taken().reduce((sum, count) => sum + count) === 2);
    expect(taken().filter((count) => count === 1)).toHaveLength(2);
  });

  it('beyond the nodes that there are means all of them', async () => {
    await start([CHAIN, CHAIN]);
    await post(await delegatedBody({ redundancy: 5 }));
    await waitUntil('both have it', () => taken().join() === '1,1');
    expect(fleet.submissions()).toHaveLength(2);
  });

  it('counts nodes that are free to answer: one that refuses is replaced', async () => {
    const closed = { ...CHAIN, allowedOwners: { echo: [CHAIN.chainAddress] } };
    await start([closed, CHAIN, closed, CHAIN]);
    await post(await delegatedBody({ redundancy: 2 }));
    await waitUntil('two nodes have it', () => taken().reduce((sum, count) => sum + count) === 2);
    expect(taken()).toEqual([0, 1, 0, 1]);
  });
});

describe('handed in again', () => {
  it('the same request is answered alike and sent once', async () => {
    await start([CHAIN, CHAIN]);
    const body = await delegatedBody();
    const replies = await Promise.all([post(body), post(body), post(body)]);
    replies.push(await post(body));
    for (const reply of replies) expect(reply).toEqual({ status: 200, body: {} });
    expect(fleet.submissions()).toHaveLength(1);
  });

  it('another version goes to the node that has the first', async () => {
    await start([CHAIN, CHAIN, CHAIN]);
    await post(await delegatedBody({ data: '{"v":1}' }));
    const first = taken();
    await post(await delegatedBody({ data: '{"v":2}' }));
    expect(taken()).toEqual(first);
    expect(fleet.nodes.flatMap(({ subscriptions }) => subscriptions.map(({ times }) => times))).toEqual([2]);
  });

  it('what was refused is tried anew', async () => {
    await start([{ ...CHAIN, containers: ['echo'] }]);
    const body = await delegatedBody({ containers: ['prover'] });
    expect((await post(body)).status).toBe(405);
    expect((await post(body)).status).toBe(405);
    expect(fleet.submissions()).toHaveLength(2);
  });
});

it('keeps within the rate budget of a node', async () => {
  await start([{ ...CHAIN, rateLimit: { limit: 20, periodMs: 2_000 } }]);
  const items = await Promise.all(Array.from({ length: 40 }, (_, nonce) => delegatedBody({ nonce })));
  await fleet.gateway.postBatch(`[${items.join(',')}]`);
  const [node] = fleet.nodes;
  await waitUntil('all are taken', () => node?.subscriptions.length === 40, { withinMs: 30_000 });
  expect(node?.subscriptions.every(({ times }) => times === 1)).toBe(true);
});
