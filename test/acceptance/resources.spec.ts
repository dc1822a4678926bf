import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { json } from '../support/http.js';
import { at } from '../support/recovery.js';
import { TestReplicas } from '../support/replicas.js';
import { waitUntil } from '../support/wait.js';

type Resources = Record<string, { compute_capability: { cached_models: string[] }[] }>;
type Support = Record<string, { supported: boolean; error?: string }>;

const LLM = 'openai-inference-0.0.1';
const STREAMED = 'openai-inference-streaming-0.0.1';
const MODEL = 'gpt-3.5-turbo-16k';

describe('a fleet', () => {
  let fleet: TestFleet;
  const resources = async (query = ''): Promise<Resources> =>
    json<Resources>(await fleet.gateway.send(`/resources${query}`));
  const asked = (index: number, path: string): number =>
    at(fleet.nodes, index).received.filter((request) => request.path === path).length;

  beforeAll(async () => {
    fleet = await startTestGateway({
      settings: { RESOURCES_INTERVAL_MS: '1000' },
      nodes: [
        { containers: ['echo', LLM] },
        { containers: [LLM, STREAMED] },
        { apiVersion: '1.3.0', containers: ['echo', 'delay'] },
      ],
    });
  });
  afterEach(async () => {
    for (const node of fleet.nodes) await node.faults.clear();
  });
  afterAll(() => fleet.stop());

  it('/resources has every container once, in the exact shape of a node', async () => {
    const reply = await fleet.gateway.send('/resources');
    expect(reply.status).toBe(200);
    expect(reply.headers['content-type']).toMatch(/^application\/json\b/);
    const entry = (id: string, models: string): string =>
      `"${id}":{"compute_capability":[{"cached_models":[${models}],"id":"ml","models":[],"type":"emulated"}],"service_id":"${id}"}`;
    expect(reply.text).toBe(
      `{${entry('echo', '')},${entry(LLM, `"${MODEL}","text-embedding-3-small"`)},${entry(STREAMED, `"${MODEL}"`)}}\n`,
    );
  });

  it('with model_id it tells which containers support the model', async () => {
    const reply = await fleet.gateway.send(`/resources?model_id=${MODEL}`);
    expect(reply.text).toBe(
      `{"echo":{"supported":false},"${LLM}":{"supported":true},"${STREAMED}":{"supported":true}}\n`,
    );
    const odd = await fleet.gateway.send('/resources?model_id=a%2Fb%20%26c%3D');
    expect(Object.values(json<Support>(odd)).map(({ supported }) => supported)).toEqual([
      false,
      false,
      false,
    ]);
    expect(asked(0, '/resources?model_id=a%2Fb%20%26c%3D')).toBe(1);
  });

  it('an empty model_id asks for the resources, an impossible one is refused', async () => {
    expect(Object.keys(await resources('?model_id='))).toEqual(['echo', LLM, STREAMED]);
    for (const modelId of ['x'.repeat(501), '%00']) {
      const reply = await fleet.gateway.send(`/resources?model_id=${modelId}`);
      expect([reply.status, json<{ params: object }>(reply).params]).toEqual([400, { field: 'model_id' }]);
    }
  });

  it('a model is asked about once while the answer is fresh, and a node without the call never', async () => {
    const path = '/resources?model_id=asked-often';
    for (let n = 0; n < 10; n += 1) await fleet.gateway.send(path);
    expect([0, 1, 2].map((index) => asked(index, path))).toEqual([1, 1, 0]);
    expect(at(fleet.nodes, 2).received.some((request) => request.path.startsWith('/resources'))).toBe(false);
  });

  it('the bytes of a node are kept, and answers of several nodes are united', async () => {
    const [first, second] = fleet.nodes;
    first?.respondWith('GET /resources', `{"${LLM}":{"big":${2n ** 256n - 1n},"x":NaN,"list":[1.0]}}`);
    second?.respondWith('GET /resources', `{"${LLM}":{"x":NaN,"list":[1.0,1e400]},"not-offered":{}}`);
    await waitUntil('both are merged', async () => {
      const { text } = await fleet.gateway.send('/resources');
      return text === `{"${LLM}":{"big":${2n ** 256n - 1n},"list":[1.0,1e400],"x":NaN}}\n`;
    });
    for (const node of fleet.nodes) node.respondWith('GET /resources', undefined);
    await waitUntil('all is as before', async () => {
      const { text } = await fleet.gateway.send('/resources');
      return text.includes('"echo"') && !text.includes('NaN');
    });
    expect(Object.keys(await resources())).toEqual(['echo', LLM, STREAMED]);
  });

  it('a node that answers rubbish, or not at all, keeps nobody from answering', async () => {
    at(fleet.nodes, 0).respondWith('GET /resources', '<html>', { status: 200, contentType: 'text/html' });
    await at(fleet.nodes, 1).faults.set({ hang: { path: '/resources' } });
    const startedAt = performance.now();
    const known = await resources();
    const support = await fleet.gateway.send('/resources?model_id=hung');
    expect(support.status).toBe(200);
    // Without a bound of its own each would take until the node answers, which is never.
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    expect(Object.keys(known)).toEqual(['echo', LLM, STREAMED]);
    at(fleet.nodes, 0).respondWith('GET /resources', undefined);
  });

  it('what a node that is down had is left out', async () => {
    const { id } = at(fleet.registered, 1);
    await at(fleet.nodes, 1).faults.set({ refuse: true });
    await fleet.gateway.seen(id, 'down');
    expect(Object.keys(await resources())).toEqual(['echo', LLM]);
    await at(fleet.nodes, 1).faults.clear();
    await fleet.gateway.seen(id, 'up');
    expect(Object.keys(await resources())).toEqual(['echo', LLM, STREAMED]);
  });
});

it('without nodes there are no resources', async () => {
  const fleet = await startTestGateway({ nodes: [] });
  try {
    expect((await fleet.gateway.send('/resources')).text).toBe('{}\n');
    expect((await fleet.gateway.send('/resources?model_id=x')).text).toBe('{}\n');
  } finally {
    await fleet.stop();
  }
});

it('the rate limit of a node is kept to, however many models are asked about', async () => {
  const fleet = await startTestGateway({
    nodes: [{ containers: ['echo'], rateLimit: { limit: 30, periodMs: 60_000 } }],
  });
  try {
    const models = Array.from({ length: 60 }, (_, n) => `/resources?model_id=m${n}`);
    for (const path of models.slice(0, 15)) {
      expect(json(await fleet.gateway.send(path))).toEqual({ echo: { supported: false } });
    }
    await Promise.all(models.map((path) => fleet.gateway.send(path)));
    const reached = at(fleet.nodes, 0).received.filter(({ path }) => path.startsWith('/resources'));
    expect(reached.length).toBeLessThanOrEqual(31);
    expect(reached.length).toBeGreaterThan(15);
  } finally {
    await fleet.stop();
  }
});

it('every replica answers for the nodes of all', async () => {
  const replicas = await TestReplicas.start({
    gateways: 2,
    nodes: [{ containers: ['echo'] }, { containers: [LLM] }],
  });
  try {
    for (const gateway of replicas.gateways) {
      const known = async (): Promise<string[]> =>
        Object.keys(json<Resources>(await gateway.send('/resources')));
      await waitUntil('both containers are known', async () => (await known()).join() === `echo,${LLM}`);
    }
    for (const gateway of replicas.gateways) {
      expect(json(await gateway.send(`/resources?model_id=${MODEL}`))).toEqual({
        echo: { supported: false },
        [LLM]: { supported: true },
      });
    }
  } finally {
    await replicas.stop();
  }
});
