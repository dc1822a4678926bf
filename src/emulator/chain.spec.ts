import { afterEach, describe, expect, it } from 'vitest';
import {
  delegatedBody,
  oldDelegatedBody,
  OWNER,
  SIGNER,
  type SubscriptionWishes,
} from './delegated.fixture.js';
import { EmulatedNode } from './emulated-node.js';
import type { EmulatedNodeOptions } from './options.js';

const CHAIN = { chainAddress: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8' };
const signer = SIGNER.address.toLowerCase();

let node: EmulatedNode;

afterEach(() => node.stop());

async function start(options: EmulatedNodeOptions = CHAIN): Promise<void> {
  node = await EmulatedNode.start({ rateLimit: false, ...options });
}

async function post(body: string, path = '/api/jobs'): Promise<{ status: number; text: string }> {
  const headers = { 'content-type': 'application/json' };
  const reply = await fetch(node.url + path, { method: 'POST', headers, body });
  return { status: reply.status, text: await reply.text() };
}

async function subscribe(wishes: SubscriptionWishes = {}): Promise<{ status: number; text: string }> {
  return post(await delegatedBody(wishes));
}

describe('a node with a chain', () => {
  it('says so, and takes a subscription whose signature viem made', async () => {
    await start();
    const info = (await (await fetch(`${node.url}/info`)).json()) as { chain: object };
    expect(info.chain).toEqual({ address: CHAIN.chainAddress, enabled: true });
    expect(await subscribe()).toEqual({ status: 200, text: '{}\n' });
    expect(node.subscriptions).toEqual([
      { owner: OWNER.toLowerCase(), nonce: 0, containers: ['echo'], signer, tracked: true, times: 1 },
    ]);
  });

  it('finds ordered selections of its containers by their hash, with and without 0x', async () => {
    await start({ ...CHAIN, containers: ['echo', 'step-one', 'step-two'] });
    await subscribe({ nonce: 1, containers: ['step-one', 'step-two'], prefixed: false });
    await subscribe({ nonce: 2, containers: ['step-two', 'step-one', 'echo'] });
    expect(node.subscriptions.map(({ containers }) => containers)).toEqual([
      ['step-one', 'step-two'],
      ['step-two', 'step-one', 'echo'],
    ]);
  });

  it('keeps one for each owner and nonce', async () => {
    await start();
    await subscribe();
    await subscribe();
    await subscribe({ nonce: 1 });
    expect(node.subscriptions.map(({ nonce, times }) => [nonce, times])).toEqual([
      [0, 2],
      [1, 1],
    ]);
  });

  it('answers a wrong signature alike, and does not work on it', async () => {
    await start({ ...CHAIN, signers: { [OWNER]: CHAIN.chainAddress } });
    expect(await subscribe()).toEqual({ status: 200, text: '{}\n' });
    const broken = (await delegatedBody({ nonce: 1 })).replace(/"s":\d+/, '"s":0');
    expect(await post(broken)).toEqual({ status: 200, text: '{}\n' });
    expect(node.subscriptions).toMatchObject([
      { signer, tracked: false },
      { signer: null, tracked: false },
    ]);
  });

  it('recovers another signer when a number was rounded', async () => {
    await start();
    const body = await delegatedBody();
    await post(body.replace(/("payment_amount":\d+)\d,/, '$10,'));
    expect(node.subscriptions[0]?.signer).not.toBe(signer);
  });

  it('fails for what is expired or unknown, as the reference node does', async () => {
    await start();
    const expired = await subscribe({ expiry: Math.floor(Date.now() / 1_000) - 1 });
    expect(expired).toMatchObject({ status: 500, text: expect.stringContaining('not JSON serializable') });
    const unknown = await subscribe({ containers: ['elsewhere'] });
    expect(unknown).toMatchObject({ status: 500, text: expect.stringContaining('list index out of range') });
    expect(node.subscriptions).toEqual([]);
  });

  it.each([
    [{ containers: ['internal'] }, 'First container must be external', { first_container: 'internal' }],
    [{ verifier: OWNER }, 'Container does not generate proof', { container: 'echo' }],
    [
      { containers: ['step-one'] },
      'Container not allowed for address',
      { address: OWNER, container: 'step-one' },
    ],
  ] as const)('refuses %j: %s', async (wishes, error, params) => {
    await start({ ...CHAIN, allowedOwners: { 'step-one': [CHAIN.chainAddress] } });
    expect(await subscribe(wishes)).toEqual({ status: 405, text: `${JSON.stringify({ error, params })}\n` });
  });

  it('answers in a batch, and forgets with a restart', async () => {
    await start();
    const items = [await delegatedBody(), '{"containers":["echo"],"data":{},"id":"a"}'];
    expect(await post(`[${items.join(',')}]`, '/api/jobs/batch')).toEqual({
      status: 200,
      text: '[{},{"id":"a"}]\n',
    });
    await node.restart();
    expect(node.subscriptions).toEqual([]);
  });

  it('of version 0.2.0 takes the older form, and gives an id', async () => {
    await start({ ...CHAIN, apiVersion: '0.2.0' });
    expect(await subscribe()).toMatchObject({ status: 500 });
    const reply = await post(await oldDelegatedBody({ containers: ['step-one', 'step-two'] }));
    expect(reply).toMatchObject({ status: 200, text: expect.stringMatching(/^\{"id":"[0-9a-f-]{36}"\}\n$/) });
    expect(node.subscriptions).toMatchObject([
      { containers: ['step-one', 'step-two'], signer, tracked: true },
    ]);
  });
});

describe('a node without a chain', () => {
  it('fails with a text that means something else', async () => {
    await start({});
    expect(await subscribe()).toMatchObject({
      status: 500,
      text: '{"error":"Internal server error: Object of type MessageType is not JSON serializable"}\n',
    });
  });

  it('starts the other items of a batch and answers for none', async () => {
    await start({});
    const items = [await delegatedBody(), '{"containers":["echo"],"data":{}}'];
    expect(await post(`[${items.join(',')}]`, '/api/jobs/batch')).toMatchObject({ status: 500 });
    await node.idle();
    expect(node.executions).toHaveLength(1);
  });
});
