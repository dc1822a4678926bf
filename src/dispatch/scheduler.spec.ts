import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSettings } from '../config/settings.js';
import { NoMetrics } from '../metrics/metrics.js';
import { Fleet } from '../nodes/fleet.js';
import type { FleetNode } from '../nodes/node.js';
import { nodeConfig } from '../nodes/node.fixture.js';
import type { NodeInfo } from '../protocol/node-info.js';
import { Scheduler } from './scheduler.js';

/* Real: the policy, the clock and a fleet of one node, which is up. */

const CONFIG = nodeConfig({ id: 'n1' });
const INFO: NodeInfo = {
  version: '1.4.0',
  chain: { enabled: false, address: '' },
  containers: [{ id: 'echo', external: true, image: 'i', description: 'd' }],
  pending: { offchain: 0, onchain: 0 },
};
const JOB = { id: 'j1', containers: ['echo'] };

let fleet: Fleet;
let scheduler: Scheduler;
let released: string[];

/** Machines may be busy. */
const PATIENTLY = { timeout: 20_000 };

beforeEach(() => {
  fleet = new Fleet();
  scheduler = new Scheduler(fleet, new NoMetrics(), readSettings({}));
  released = [];
  scheduler.on('released', ({ id }, { nodeId, fence }) => released.push(`${id} to ${nodeId} under ${fence}`));
});
afterEach(() => scheduler.stop());

/** The only node, up and leased. */
function join(): FleetNode {
  fleet.put(CONFIG, INFO);
  const [node] = fleet.nodes as [FleetNode];
  node.health = 'up';
  node.lease = { fence: 3, validUntilMs: Infinity };
  fleet.emit('changed', node);
  return node;
}

describe('place', () => {
  it('names the lease to work under', () => {
    join();
    expect(scheduler.place(JOB)).toMatchObject({ nodeId: 'n1', fence: 3 });
    expect(scheduler.loadOf('n1').inFlight).toBe(1);
  });

  it('finds nothing without a node, nor when it is stopped', () => {
    expect(scheduler.place(JOB)).toBeUndefined();
    join();
    scheduler.stop();
    expect(scheduler.place(JOB)).toBeUndefined();
  });

  it('counts nothing on a node whose lease went the moment before', () => {
    join().lease = undefined;
    expect(scheduler.place(JOB)).toBeUndefined();
    expect(scheduler.loadOf('n1').inFlight).toBe(0);
  });
});

describe('held jobs', () => {
  it('are released when a node joins', async () => {
    scheduler.hold([JOB]);
    expect(scheduler.held).toBe(1);
    join();
    await expect.poll(() => released, PATIENTLY).toEqual(['j1 to n1 under 3']);
    expect(scheduler.held).toBe(0);
  });

  it('are not released any more when they are forgotten, or it is stopped', async () => {
    scheduler.hold([JOB, { ...JOB, id: 'j2' }]);
    scheduler.forget('j1');
    join();
    scheduler.stop();
    await sleep(50);
    expect(released).toEqual([]);
  });

  it('without a lease to work under are held again', async () => {
    const node = join();
    node.lease = undefined;
    scheduler.hold([JOB]);
    await expect.poll(() => scheduler.held, PATIENTLY).toBe(0);
    node.lease = { fence: 4, validUntilMs: Infinity };
    await expect.poll(() => released, PATIENTLY).toEqual(['j1 to n1 under 4']);
    expect(scheduler.loadOf('n1').inFlight).toBe(1);
  });
});

describe('a job that is given back', () => {
  it('is held again after a while', async () => {
    join();
    scheduler.once('released', (job, spot) => scheduler.giveBack(job, spot));
    scheduler.hold([JOB]);
    await expect.poll(() => released, PATIENTLY).toHaveLength(2);
    expect(scheduler.loadOf('n1').inFlight).toBe(1);
  });

  it('is not, if it is over meanwhile', async () => {
    join();
    scheduler.once('released', (job, spot) => scheduler.giveBack(job, spot));
    scheduler.hold([JOB]);
    await expect.poll(() => released, PATIENTLY).toHaveLength(1);
    scheduler.forget('j1');
    await sleep(700);
    expect(released).toHaveLength(1);
    expect(scheduler.held).toBe(0);
  });
});

describe('a job that leaves', () => {
  it('is not held until it has left', () => {
    const arrived = scheduler.leaves('j1');
    scheduler.hold([JOB]);
    expect(scheduler.held).toBe(0);
    arrived();
    scheduler.hold([JOB]);
    expect(scheduler.held).toBe(1);
  });

  it('is held at once if it was forgotten before, and what goes on behind changes nothing then', () => {
    const arrived = scheduler.leaves('j1');
    scheduler.forget('j1');
    scheduler.hold([JOB]);
    expect(scheduler.held).toBe(1);
    scheduler.leaves('j1');
    arrived();
    expect(scheduler.isLeaving('j1')).toBe(true);
  });

  it('rests as it was given back, whoever holds it meanwhile', async () => {
    join();
    scheduler.once('released', (job, spot) => scheduler.giveBack(job, spot));
    scheduler.hold([JOB]);
    await expect.poll(() => released, PATIENTLY).toHaveLength(1);
    scheduler.hold([JOB]);
    expect(scheduler.held).toBe(0);
    await expect.poll(() => released, PATIENTLY).toHaveLength(2);
  });
});
