import { afterEach, describe, expect, it } from 'vitest';

import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { at, expectStory, whenJob } from '../support/recovery.js';
import { waitUntil } from '../support/wait.js';

/*
 * A node that stands still: it answers, and nothing ends there. Its jobs are started elsewhere too, and the first result
 * counts, whenever the other one comes.
 */

let fleet: TestFleet;
afterEach(() => fleet.stop());

describe('a node that stands still', () => {
  it(
    'its jobs are started elsewhere too; its own results come late and are ignored',
    { timeout: 180_000 },
    async () => {
      fleet = await startTestGateway({ nodes: [{ serviceMs: 20 }, { serviceMs: 20 }] });
      const { gateway, nodes, registered } = fleet;
      const submit = (n: number): Promise<string> => gateway.submit(['echo'], { n });
      // So many that it is known how long such jobs take.
      for (let n = 0; n < 30; n += 1) await gateway.finished([await submit(n)]);
      // Twenty seconds instead: longer than it takes until nobody believes in it any more.
      await at(nodes, 0).faults.set({ slow: 1_000 });
      const other = `/nodes/${at(registered, 1).id}`;
      await gateway.admin('POST', `${other}/drain`);
      const stuck = await submit(100);
      await whenJob(gateway, stuck, 'it is on the node', ({ attempts }) => attempts[0]?.state === 'running');
      await gateway.admin('POST', `${other}/resume`);
      await at(nodes, 0).faults.clear();
      const [row] = await gateway.finished([stuck], {}, 60_000);
      expect(row?.status).toBe('success');
      await expectStory(fleet, stuck, ['0 running', '1 succeeded'], 2);
      const view = await whenJob(
        gateway,
        stuck,
        'the late result is recorded',
        ({ attempts }) => attempts[0]?.state === 'superseded',
        60_000,
      );
      expect(view).toMatchObject({ state: 'succeeded', generation: 1, results: [{ generation: 1 }] });
      expect(await gateway.rows([stuck])).toEqual([row]);
      await waitUntil('nothing is counted', async () =>
        (await gateway.nodes()).every(({ inFlight }) => inFlight === 0),
      );
    },
  );
});
