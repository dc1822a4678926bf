import { afterEach, describe, expect, it, vi } from 'vitest';

import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { at, executionsOf, jobView, QUICK, storyOf, whenJob } from '../support/recovery.js';
import { waitUntil } from '../support/wait.js';

/*
 * The failure table of docs/failures.md: what only time tells. These tests wait for the running limit.
 */

let fleet: TestFleet;
afterEach(() => fleet.stop());

describe('longer than the running limit', () => {
  it('lost: a new attempt', async () => {
    fleet = await startTestGateway({
      nodes: [{}, {}],
      settings: { ...QUICK, CONTAINER_TIMEOUT_MS: '100', RUNNING_GRACE_MS: '2000' },
    });
    const { gateway, nodes, registered } = fleet;
    await at(nodes, 0).faults.set({ slow: 1_000 });
    const startedAt = Date.now();
    const id = await gateway.submit(['delay'], { ms: 200 });
    const [row] = await gateway.finished([id], {}, 50_000);
    expect(row?.status).toBe('success');
    expect(Date.now() - startedAt).toBeGreaterThan(2_000);
    const view = await jobView(gateway, id);
    expect(storyOf(view, registered)).toEqual(['0 lost', '1 succeeded']);
    expect(view.attempts[0]?.reason).toBe('it ran for too long');
    expect(executionsOf(view, nodes)).toHaveLength(2);
  });
});

describe('a clock that goes ahead of the database’s', () => {
  it('makes no job older than it is', async () => {
    // More than the running limit, and less than what makes a node forget a row.
    const aheadMs = 300_000;
    fleet = await startTestGateway({ settings: QUICK });
    const { gateway, nodes, registered } = fleet;
    const id = await gateway.submit(['delay'], { ms: 3_600_000 });
    await whenJob(gateway, id, 'running', ({ attempts }) => attempts[0]?.state === 'running');
    await gateway.pause();
    const before = at(nodes, 0).received.length;
    const now = Date.now.bind(Date);
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + aheadMs);
    try {
      await gateway.resume();
      const asked = () => at(nodes, 0).received.slice(before);
      await waitUntil(
        'the job was asked for twice',
        () => asked().filter(({ path }) => path.includes(id)).length >= 2,
      );
      expect(storyOf(await jobView(gateway, id), registered)).toEqual(['0 running']);
    } finally {
      clock.mockRestore();
    }
  });
});

describe('[] from another EGRESS_GROUP', () => {
  it('is not believed: the running limit is waited for', async () => {
    fleet = await startTestGateway({
      nodes: [{}],
      settings: { ...QUICK, EGRESS_GROUP: 'before', CONTAINER_TIMEOUT_MS: '100', RUNNING_GRACE_MS: '10000' },
    });
    const { gateway, nodes, registered } = fleet;
    const node = at(nodes, 0);
    const startedAt = Date.now();
    const other = await gateway.submit(['delay'], { ms: 3_600_000 });
    await whenJob(gateway, other, 'running', ({ state }) => state === 'running');
    await gateway.pause();
    await gateway.resume({ EGRESS_GROUP: 'after' });
    const own = await gateway.submit(['delay'], { ms: 3_600_000 });
    await whenJob(gateway, own, 'running', ({ state }) => state === 'running');
    await node.faults.set({ losePending: true });
    // What was sent from here is believed lost after two questions, the other one after its time is up.
    await whenJob(gateway, own, 'lost', ({ attempts }) => attempts[0]?.state === 'lost');
    const asked = () => node.received.filter(({ path }) => path.includes(other)).length;
    await waitUntil('the other was asked for often', () => asked() >= 5);
    expect(storyOf(await jobView(gateway, other), registered)).toEqual(['0 running']);
    const lost = await whenJob(
      gateway,
      other,
      'lost',
      ({ attempts }) => attempts[0]?.state === 'lost',
      45_000,
    );
    expect(Date.now() - startedAt).toBeGreaterThan(10_000);
    expect(lost.attempts[0]?.reason).toBe('it ran for too long');
  });
});
