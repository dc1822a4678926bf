import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { json, mediaType } from '../support/http.js';
import { at } from '../support/recovery.js';
import { TestReplicas } from '../support/replicas.js';
import { waitUntil } from '../support/wait.js';

const LLM = 'openai-inference-0.0.1';
const MODEL = 'gpt-3.5-turbo-16k';

describe('a fleet', () => {
  let fleet: TestFleet;
  let addresses: string[];
  const ips = async (query: string): Promise<string[]> =>
    json<string[]>(await fleet.gateway.send(`/api/v1/ips?${query}`));

  beforeAll(async () => {
    fleet = await startTestGateway({
      nodes: [
        { containers: ['echo', 'delay'], speed: 0.5, serviceMs: { echo: 200 } },
        { containers: ['echo', 'delay'], speed: 1, serviceMs: { echo: 200 } },
        { containers: ['echo', LLM], speed: 2, serviceMs: { echo: 200 } },
      ],
    });
    addresses = fleet.nodes.map((node) => new URL(node.url).host);
  });
  afterAll(() => fleet.stop());

  it('/api/v1/containers counts the nodes that run each', async () => {
    const reply = await fleet.gateway.send('/api/v1/containers');
    expect([reply.status, mediaType(reply)]).toEqual([200, 'application/json']);
    expect(reply.text).toBe(
      `${JSON.stringify([
        { count: 2, description: 'sleeps for data.ms milliseconds or data.seconds seconds', id: 'delay' },
        { count: 3, description: 'returns its input', id: 'echo' },
        { count: 1, description: 'OpenAI inference', id: LLM },
      ])}\n`,
    );
  });

  it('/api/v1/ips lists nodes that run all the containers', async () => {
    expect((await ips('container=echo')).sort()).toEqual([...addresses].sort());
    expect(await ips(`container=echo&container=${LLM}`)).toEqual([addresses[2]]);
    expect(await ips(`container=${LLM}&container=echo`)).toEqual([addresses[2]]);
    expect(await ips(`container=delay&container=${LLM}`)).toEqual([]);
    expect(await ips('container=nope')).toEqual([]);
  });

  it('n and offset page; what is no count is ignored', async () => {
    expect(await ips('container=echo&n=2')).toHaveLength(2);
    expect(await ips('container=echo&n=9&offset=1')).toHaveLength(2);
    expect(await ips('container=echo&n=9&offset=9')).toEqual([]);
    expect(await ips('container=echo&n=0')).toEqual([]);
    for (const bad of ['n=many', 'n=-1', 'n=', 'n=1.5', 'offset=x', 'offset=-1']) {
      expect(await ips(`container=echo&${bad}`)).toHaveLength(3);
    }
  });

  it('without a container it is refused in the words of the router', async () => {
    const reply = await fleet.gateway.send('/api/v1/ips');
    expect([reply.status, mediaType(reply), reply.text]).toEqual([
      400,
      'application/json',
      '{"error":"No containers specified"}\n',
    ]);
  });

  it('nodes come in the order in which a job would be done', async () => {
    const { gateway } = fleet;
    const learned = async (): Promise<boolean> => {
      await gateway.finished(
        await Promise.all(Array.from({ length: 12 }, (_, n) => gateway.submit(['echo'], { n }))),
      );
      // Asked for the second place on, nobody counts as having been sent anywhere.
      const rest = await ips('container=echo&n=9&offset=1');
      return rest.join() === [addresses[1], addresses[0]].join();
    };
    await waitUntil('the slowest is last', learned, { withinMs: 30_000 });
    expect((await ips('container=echo&n=1&offset=2'))[0]).toBe(addresses[0]);
  });

  it('/api/v1/resources tells the resources of each node by its address', async () => {
    const reply = await fleet.gateway.send('/api/v1/resources');
    expect([reply.status, mediaType(reply)]).toEqual([200, 'application/json']);
    const byAddress = json<Record<string, object>>(reply);
    expect(Object.keys(byAddress).sort()).toEqual([...addresses].sort());
    expect(Object.keys(byAddress[at(addresses, 2)] as object)).toEqual(['echo', LLM]);
    const support = await fleet.gateway.send(`/api/v1/resources?model_id=${MODEL}`);
    expect(json(support)).toEqual({
      [at(addresses, 0)]: { delay: { supported: false }, echo: { supported: false } },
      [at(addresses, 1)]: { delay: { supported: false }, echo: { supported: false } },
      [at(addresses, 2)]: { echo: { supported: false }, [LLM]: { supported: true } },
    });
  });

  it('a node that drains or is down is not listed, and one with a prefix or private headers never', async () => {
    const { gateway, registered, nodes } = fleet;
    await gateway.admin('POST', `/nodes/${at(registered, 0).id}/drain`);
    await at(nodes, 1).faults.set({ refuse: true });
    await gateway.seen(at(registered, 1).id, 'down');
    expect(await ips('container=echo')).toEqual([addresses[2]]);
    expect(Object.keys(json<object>(await gateway.send('/api/v1/resources')))).toEqual([addresses[2]]);
    await gateway.admin('PATCH', `/nodes/${at(registered, 2).id}`, { headers: { 'x-key': 'secret' } });
    expect(await ips('container=echo')).toEqual([]);
    expect(json(await gateway.send('/api/v1/resources'))).not.toHaveProperty([at(addresses, 2)]);
    // It is there for the gateway all the same.
    const listed = json<{ id: string; count: number }[]>(await gateway.send('/api/v1/containers'));
    expect(listed.find(({ id }) => id === 'echo')?.count).toBe(1);
    await gateway.admin('PATCH', `/nodes/${at(registered, 2).id}`, { headers: {} });
    expect(await ips('container=echo')).toEqual([addresses[2]]);
  });
});

it('callers that ask at the same time are sent to different nodes', async () => {
  const fleet = await startTestGateway({
    settings: { PROBE_INTERVAL_MS: '600000' },
    nodes: [{ containers: ['echo'] }, { containers: ['echo'] }, { containers: ['echo'] }],
  });
  try {
    const firsts = new Map<string, number>();
    for (let n = 0; n < 30; n += 1) {
      const [first = ''] = json<string[]>(await fleet.gateway.send('/api/v1/ips?container=echo'));
      firsts.set(first, (firsts.get(first) ?? 0) + 1);
    }
    expect([...firsts.values()]).toEqual([10, 10, 10]);
  } finally {
    await fleet.stop();
  }
});

it("work that others have brought to a node counts, and every replica lists all replicas' nodes", async () => {
  const replicas = await TestReplicas.start({
    gateways: 2,
    nodes: [{ containers: ['delay'] }, { containers: ['delay'] }],
  });
  try {
    const busy = replicas.node(0);
    for (let n = 0; n < 5; n += 1) {
      await fetch(`${busy.url}/api/jobs`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"containers":["delay"],"data":{"seconds":600}}',
      });
    }
    const expected = [1, 0].map((index) => new URL(replicas.node(index).url).host);
    for (const gateway of replicas.gateways) {
      await waitUntil('the idle node comes first', async () => {
        const listed = json<string[]>(await gateway.send('/api/v1/ips?container=delay&offset=0'));
        return listed.join() === expected.join();
      });
    }
    expect(busy.load.pending).toBe(5);
  } finally {
    await replicas.stop();
  }
});
