import { afterEach, describe, expect, it } from 'vitest';
import { EmulatedNode } from '../emulator/emulated-node.js';
import type { EmulatedNodeOptions } from '../emulator/options.js';
import { Fleet } from './fleet.js';
import { NodeClient } from './node-client.js';
import type { FleetNode, NodeConfig } from './node.js';
import type { NodesRepository } from './nodes.repository.js';
import { Prober } from './prober.js';

let emulated: EmulatedNode;
let fleet: Fleet;
let node: FleetNode;
const client = new NodeClient();
afterEach(async () => {
  await emulated.stop();
});

async function start(options: EmulatedNodeOptions = { rateLimit: false }): Promise<void> {
  emulated = await EmulatedNode.start(options);
  fleet = new Fleet();
  const config = { id: 'n', url: emulated.url, name: 'n', state: 'active', approved: true, headers: {} };
  fleet.put(config as unknown as NodeConfig);
  node = fleet.get('n') as FleetNode;
}

/** As a lane makes one when its lease is gained. */
function prober(saveSnapshot: NodesRepository['saveSnapshot'] = () => Promise.resolve()): Prober {
  const repository = { saveSnapshot } as unknown as NodesRepository;
  return new Prober(node, fleet, client, repository, { intervalMs: 60_000, timeoutMs: 5_000 });
}

it('does not measure connections anew because a lease came back', async () => {
  await start();
  const asked = (path: string): number => emulated.received.filter((request) => request.path === path).length;
  const measured = new Promise<void>((resolve) => {
    emulated.events.on('received', () => {
      if (asked('/health') === 11) resolve();
    });
  });
  await prober().runOnce();
  await measured;
  await prober().runOnce();
  expect(asked('/info')).toBe(2);
  expect(asked('/health')).toBe(11);
});

it('stores what a node offers after a later probe if the database was away, under whatever lease', async () => {
  await start();
  const saved: string[] = [];
  let away = 2;
  const save: NodesRepository['saveSnapshot'] = async (id) => {
    if (away > 0) {
      away -= 1;
      throw new Error('the database is away');
    }
    saved.push(id);
    await Promise.resolve();
  };
  const first = prober(save);
  await first.runOnce();
  await first.runOnce();
  expect(saved).toEqual([]);
  const second = prober(save);
  await second.runOnce();
  expect(saved).toEqual(['n']);
  await second.runOnce();
  expect(saved).toEqual(['n']);
});

describe('a probe that is answered 429', () => {
  const rateLimit = { limit: 1, periodMs: 3_600_000 };

  it('leaves a node that is up as it is, however often', async () => {
    await start({ rateLimit });
    for (let n = 0; n < 4; n += 1) await prober().runOnce();
    expect(emulated.received.filter(({ path }) => path === '/info')).toHaveLength(4);
    expect([node.health, node.lastError]).toEqual(['up', undefined]);
  });

  it('says nothing of a node of which nothing is known, but when it may be asked again', async () => {
    await start({ rateLimit });
    // Somebody else at this address.
    await fetch(`${emulated.url}/info`);
    await prober().runOnce();
    expect(node.health).toBe('unknown');
    expect(node.budget.waitMs('info', performance.now())).toBeGreaterThan(0);
  });
});
