import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DelegationSender } from './delegation-sender.js';
import { FleetNode } from './node.js';
import { nodeConfig } from './node.fixture.js';
import { NodeClient } from './node-client.js';

/** Takes requests and never answers. */
let server: Server;
let received: number;
let client: NodeClient;

beforeEach(async () => {
  received = 0;
  server = createServer(() => void (received += 1)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = new NodeClient();
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await client.close();
});

function submit(count: number, timeoutMs: number): Promise<{ kind: string }>[] {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const sender = new DelegationSender(new FleetNode(nodeConfig({ id: 'n', url })), client, timeoutMs);
  return Array.from({ length: count }, () => sender.submit(Buffer.from('{}')));
}

it('gives back what has not left when the node does not answer', async () => {
  const replies = await Promise.all(submit(10, 400));
  expect(replies.map(({ kind }) => kind)).toEqual([
    ...Array<string>(4).fill('unclear'),
    ...Array<string>(6).fill('unreachable'),
  ]);
  expect(received).toBe(4);
});

it('gives back what waits long for the answers to others', async () => {
  const replies = submit(10, 600_000);
  for (const reply of await Promise.all(replies.slice(4))) {
    expect(reply).toMatchObject({ kind: 'limited', reason: 'too many were to go there before it' });
  }
  expect(received).toBe(4);
});
