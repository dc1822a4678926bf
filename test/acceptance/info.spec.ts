import { afterAll, beforeAll, expect, it } from 'vitest';

import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { json } from '../support/http.js';
import { waitUntil } from '../support/wait.js';

interface Info {
  containers: { id: string; external: boolean }[];
  pending: { offchain: number; onchain: number };
}

let fleet: TestFleet;
const info = async (): Promise<Info> => json<Info>(await fleet.gateway.send('/info'));

beforeAll(async () => {
  fleet = await startTestGateway({
    nodes: [
      { containers: ['echo', 'delay', 'internal'] },
      { containers: ['delay', 'echo'], chainAddress: '0xabc' },
    ],
  });
});
afterAll(() => fleet.stop());

it("/health has a node's exact answer", async () => {
  const reply = await fleet.gateway.send('/health');
  expect([reply.status, reply.text]).toEqual([200, '{"status":"healthy"}\n']);
  expect(reply.headers['content-type']).toMatch(/^application\/json\b/);
});

it('/info is the fleet as one node, with its exact shape', async () => {
  const reply = await fleet.gateway.send('/info');
  expect(reply.status).toBe(200);
  expect(reply.headers['content-type']).toMatch(/^application\/json\b/);
  const container = (id: string, description: string, external: boolean): string =>
    `{"description":"${description}","external":${external},"id":"${id}","image":"infernet-gateway/emulated-${id}:latest"}`;
  expect(reply.text).toBe(
    '{"chain":{"address":"0xabc","enabled":true},"containers":[' +
      [
        container('delay', 'sleeps for data.ms milliseconds or data.seconds seconds', true),
        container('echo', 'returns its input', true),
        container('internal', 'only behind another container', false),
      ].join(',') +
      '],"pending":{"offchain":0,"onchain":0},"version":"1.4.0"}\n',
  );
});

it('a container is external if it is so on any node', async () => {
  const scripted = {
    containers: [{ id: 'internal', external: true, image: '', description: '' }],
    pending: { offchain: 0, onchain: 3 },
    version: '1.4.0',
    chain: { enabled: false, address: '' },
  };
  fleet.nodes[1]?.respondWith('GET /info', JSON.stringify(scripted));
  await waitUntil('the container is external', async () =>
    (await info()).containers.find(({ id, external }) => id === 'internal' && external),
  );
  expect((await info()).pending.onchain).toBe(3);
  fleet.nodes[1]?.respondWith('GET /info', undefined);
  await waitUntil('it is internal again', async () =>
    (await info()).containers.find(({ id, external }) => id === 'internal' && !external),
  );
});

it('pending counts what runs on the nodes and what waits in the gateway', async () => {
  for (let n = 0; n < 4; n += 1) await fleet.gateway.submit(['delay'], { seconds: 600 });
  await waitUntil('four are pending', async () => (await info()).pending.offchain === 4);
  for (const { id } of fleet.registered) await fleet.gateway.admin('POST', `/nodes/${id}/drain`);
  for (let n = 0; n < 3; n += 1) await fleet.gateway.submit(['echo'], {});
  expect((await info()).pending.offchain).toBe(7);
  for (const { id } of fleet.registered) await fleet.gateway.admin('POST', `/nodes/${id}/resume`);
  await waitUntil('the three are done', async () => (await info()).pending.offchain === 4);
});

it('both answer fast while all nodes hang', async () => {
  await Promise.all(fleet.nodes.map((node) => node.faults.set({ hang: true })));
  const jobs = Array.from({ length: 5 }, () => fleet.gateway.submit(['echo'], {}));
  for (let n = 0; n < 20; n += 1) {
    for (const path of ['/health', '/info', '/admin/nodes', '/api/jobs']) {
      const startedAt = performance.now();
      const answer = path.startsWith('/admin')
        ? fleet.gateway.admin('GET', '/nodes')
        : fleet.gateway.send(path);
      expect((await answer).status).toBe(200);
      expect(performance.now() - startedAt).toBeLessThan(3_000);
    }
  }
  await Promise.all(fleet.nodes.map((node) => node.faults.clear()));
  await Promise.all(jobs);
});
