import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { EmulatedNode } from '../emulator/emulated-node.js';
import { FleetNode } from './node.js';
import { nodeConfig } from './node.fixture.js';
import { NodeClient } from './node-client.js';

let emulated: EmulatedNode;
let client: NodeClient;

afterEach(async () => {
  await client.close();
  await emulated.stop();
});

async function start(options: Parameters<typeof EmulatedNode.start>[0]): Promise<FleetNode> {
  emulated = await EmulatedNode.start({ rateLimit: false, ...options });
  client = new NodeClient();
  return nodeAt(emulated.url);
}

function nodeAt(url: string): FleetNode {
  return new FleetNode(nodeConfig({ id: 'n', url }));
}

it('finds that connections to a node that stalls on reused ones are not worth keeping', async () => {
  const node = await start({ stallReusedMs: 44 });
  expect(await client.measureReuse(node, 1_000)).toBe(false);
});

it('finds that connections to a node that does not stall are', async () => {
  const node = await start({});
  expect(await client.measureReuse(node, 1_000)).toBe(true);
});

it('keeps no connections to a node that does not answer', async () => {
  const node = await start({});
  await emulated.faults.set({ error500Html: { path: '/health', method: 'GET' } });
  expect(await client.measureReuse(node, 1_000)).toBe(false);
});

it('gives kept connections up before the node closes them without a word', { timeout: 60_000 }, async () => {
  const node = await start({});
  node.reusesConnections = true;
  for (let n = 0; n < 1_100; n += 1) {
    const reply = await client.submit(node, Buffer.from('{"containers":["echo"],"data":{}}'), 5_000);
    expect(reply.kind).toBe('accepted');
  }
});

it(
  'closes a kept connection that is idle long before the node would do so',
  { timeout: 60_000 },
  async () => {
    await start({});
    const server = createServer((_request, response) => {
      response.setHeader('content-type', 'application/json');
      response.end('{"id":"a"}');
    });
    // The reference node waits for 5 s; this one waits for ever, so the end can only be the client's.
    server.keepAliveTimeout = 0;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const node = nodeAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      node.reusesConnections = true;
      const connected = once(server, 'connection') as Promise<[Socket]>;
      const submitted = client.submit(node, Buffer.from('{"containers":["echo"],"data":{}}'), 5_000);
      const [socket] = await connected;
      const ended = once(socket, 'end');
      expect((await submitted).kind).toBe('accepted');
      const idleSince = performance.now();
      await ended;
      expect(performance.now() - idleSince).toBeLessThan(5_000);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  },
);
