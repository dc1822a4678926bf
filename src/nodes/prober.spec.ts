import { afterEach, expect, it } from 'vitest';
import { EmulatedNode } from '../emulator/emulated-node.js';
import { Fleet } from './fleet.js';
import { NodeClient } from './node-client.js';
import type { NodeConfig } from './node.js';
import type { NodesRepository } from './nodes.repository.js';
import { Prober } from './prober.js';

let emulated: EmulatedNode;
const client = new NodeClient();
afterEach(async () => {
  await emulated.stop();
});

it('does not measure connections anew because a lease came back', async () => {
  emulated = await EmulatedNode.start({ rateLimit: false });
  const fleet = new Fleet();
  const config = { id: 'n', url: emulated.url, name: 'n', state: 'active', approved: true, headers: {} };
  fleet.put(config as unknown as NodeConfig);
  const node = fleet.get('n');
  if (node === undefined) throw new Error('the node is missing');
  const repository = { saveSnapshot: () => Promise.resolve() } as unknown as NodesRepository;
  const lane = (): Prober =>
    new Prober(node, fleet, client, repository, { intervalMs: 60_000, timeoutMs: 5_000 });
  const asked = (path: string): number => emulated.received.filter((request) => request.path === path).length;

  const measured = new Promise<void>((resolve) => {
    emulated.events.on('received', () => {
      if (asked('/health') === 11) resolve();
    });
  });
  await lane().runOnce();
  await measured;
  await lane().runOnce();
  expect(asked('/info')).toBe(2);
  expect(asked('/health')).toBe(11);
});
