import { afterEach, describe, expect, it } from 'vitest';

import type { EmulatedNodeOptions } from '../../src/emulator/options.js';
import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { json } from '../support/http.js';
import { jobView, storyOf, whenJob } from '../support/recovery.js';
import { TestReplicas } from '../support/replicas.js';
import { waitUntil } from '../support/wait.js';

let replicas: TestReplicas;
const extra: EmulatedNode[] = [];

afterEach(async () => {
  await replicas.stop();
  await Promise.all(extra.splice(0).map((node) => node.stop()));
});

async function start(
  gateways: number,
  nodes: EmulatedNodeOptions[],
  settings: Record<string, string> = {},
): Promise<void> {
  replicas = await TestReplicas.start({ gateways, nodes, settings });
}

interface Explained {
  readonly choice: { readonly id: string } | null;
  readonly nodes: readonly {
    readonly node: { readonly id: string };
    readonly eligible: boolean | null;
    readonly reason: string | null;
  }[];
}

/** What each gateway says of jobs for `echo`. */
async function explanations(): Promise<Explained[]> {
  const asked = replicas.gateways.map((gateway) => gateway.admin('GET', '/explain?container=echo'));
  return (await Promise.all(asked)).map((reply) => json<Explained>(reply));
}

const allRuns = () => replicas.nodes.flatMap(({ executions }) => executions);
/** So long that nothing seen within a test happens because a lease ran out. */
const LONG_LEASES = { LEASE_TTL_MS: '30000' };

describe('several replicas on one database', () => {
  it('share the nodes, two and then three of them', async () => {
    await start(2, [{}, {}, {}]);
    expect(await replicas.balanced(2)).toEqual([2, 1]);
    await replicas.add();
    expect(await replicas.balanced(3)).toEqual([1, 1, 1]);
    const ids = await Promise.all(
      Array.from({ length: 30 }, (_, n) =>
        (replicas.gateways[n % 3] ?? replicas.gateway(0)).submit(['echo'], { n }),
      ),
    );
    for (const { status } of await replicas.gateway(0).finished(ids)) expect(status).toBe('success');
    expect(allRuns()).toHaveLength(30);
  });

  it('a job handed in at one is read at another, and waited for there', async () => {
    await start(3, [{}, {}, {}]);
    const id = await replicas.gateway(0).submit(['delay'], { ms: 700 });
    const waits = replicas.gateways.map((gateway) => gateway.getResults([id], { prefer: 'wait=4' }));
    for (const reply of await Promise.all(waits))
      expect(json(reply)).toMatchObject([{ id, status: 'success' }]);
    const listed = await Promise.all(replicas.gateways.map((gateway) => gateway.ids()));
    expect(listed).toEqual([[id], [id], [id]]);
  });

  it('jobs for a node that another replica works with run there, at once', async () => {
    await start(2, [{ containers: ['echo'] }, { containers: ['step-one'] }], LONG_LEASES);
    for (const gateway of replicas.gateways) {
      const startedAt = performance.now();
      const ids = [await gateway.submit(['echo'], {}), await gateway.submit(['step-one'], {})];
      for (const { status } of await gateway.finished(ids)) expect(status).toBe('success');
      expect(performance.now() - startedAt).toBeLessThan(8_000);
    }
    expect(allRuns()).toHaveLength(4);
  });

  it('a job that the nodes of its replica refuse goes to a node of the other', async () => {
    await start(2, [{ allowedAddresses: { prover: ['192.0.2.1'] } }, {}]);
    for (const gateway of replicas.gateways) {
      const reply = await gateway.post('{"containers":["prover"],"data":{},"requires_proof":true}');
      expect(reply.status).toBe(200);
      const { id } = json<{ id: string }>(reply);
      expect((await gateway.finished([id]))[0]?.status).toBe('success');
      const story = storyOf(await jobView(gateway, id), replicas.registered);
      expect([['1 succeeded'], ['0 refused', '1 succeeded']]).toContainEqual(story);
    }
  });

  it('a job that the nodes of every replica refuse ends, in the words of a node', async () => {
    await start(2, [{}, {}]);
    const ids: string[] = [];
    for (const gateway of replicas.gateways) {
      const reply = await gateway.post('{"containers":["echo"],"data":{},"requires_proof":true}');
      if (reply.status === 200) ids.push(json<{ id: string }>(reply).id);
      else expect(json(reply)).toMatchObject({ error: 'Container does not generate proof' });
    }
    for (const row of await replicas.gateway(0).finished(ids)) {
      expect(row.result?.error).toBe('Container does not generate proof');
    }
  });

  it('each explains the nodes that it holds, and says of the others what it knows', async () => {
    await start(2, [{}, {}], LONG_LEASES);
    const [first, second] = replicas.registered.map(({ id }) => id);
    const OPEN = [true, null];
    const OTHERS = [null, 'another replica decides about it'];
    /** How the gateways see a node, those of which it may have the job first. */
    const views = (all: readonly Explained[], id: string | undefined) =>
      all
        .map(({ nodes }) => nodes.find(({ node }) => node.id === id))
        .map((row) => [row?.eligible, row?.reason] as const)
        .toSorted(([a], [b]) => Number(b ?? 0) - Number(a ?? 0));
    const drained = [false, 'it is draining'];
    const drain = (id: string | undefined) => replicas.gateway(0).admin('POST', `/nodes/${id}/drain`);

    const atFirst = await explanations();
    for (const id of [first, second]) expect(views(atFirst, id)).toEqual([OPEN, OTHERS]);
    for (const { choice, nodes } of atFirst) {
      expect(choice?.id).toBe(nodes[0]?.node.id);
      expect(nodes.map(({ eligible }) => eligible)).toEqual([true, null]);
    }

    await drain(first);
    const oneDrained = await waitUntil('both know that it is draining', async () => {
      const all = await explanations();
      return views(all, first).every(([eligible]) => eligible === false) ? all : undefined;
    });
    expect(views(oneDrained, first)).toEqual([drained, drained]);
    expect(views(oneDrained, second)).toEqual([OPEN, OTHERS]);
    for (const { nodes } of oneDrained) expect(nodes[1]?.eligible).toBe(false);

    await replicas.node(1).stop();
    const noneLeft = await waitUntil('both know that the other is down', async () => {
      const all = await explanations();
      return views(all, second).every(([eligible]) => eligible === false) ? all : undefined;
    });
    const [reason, sameReason] = views(noneLeft, second).map(([, why]) => why);
    expect(reason).toMatch(/^it is down: ./);
    expect(sameReason).toBe(reason);
    expect(noneLeft.map(({ choice }) => choice)).toEqual([null, null]);
  });

  it('start together with the same NODES', async () => {
    await start(1, []);
    const node = await EmulatedNode.start({ rateLimit: false });
    extra.push(node);
    const settings = { NODES: `${node.url},http://127.0.0.1:9` };
    await Promise.all([replicas.add(settings), replicas.add(settings), replicas.add(settings)]);
    expect(await replicas.gateway(1).nodes()).toHaveLength(2);
  });
});

describe('what an operator does at one replica the others know', () => {
  it('a node registered, patched, drained and removed', async () => {
    await start(2, [{}, {}], LONG_LEASES);
    const [one, other] = [replicas.gateway(0), replicas.gateway(1)];
    const node = await EmulatedNode.start({ rateLimit: false, containers: ['internal', 'echo'] });
    extra.push(node);
    const { id } = await one.register(node.url);
    const seen = async (what: object): Promise<void> => {
      await waitUntil(`${JSON.stringify(what)} is known`, async () => {
        const row = await other.node(id);
        return row !== undefined && Object.entries(what).every(([key, value]) => row[key] === value);
      });
    };
    await seen({ url: node.url, state: 'active' });
    await one.admin('PATCH', `/nodes/${id}`, { weight: 3, name: 'renamed' });
    await seen({ weight: 3, name: 'renamed' });
    await one.admin('POST', `/nodes/${id}/drain`);
    await seen({ state: 'draining' });
    await other.admin('DELETE', `/nodes/${id}?force=true`);
    await waitUntil('it is gone', async () => (await one.nodes()).length === 2);
    expect((await one.nodes()).map(({ url }) => url)).not.toContain(node.url);
  });
});

describe('a replica that stops in order', () => {
  it('hands its nodes over at once: others need not wait for its leases to run out', async () => {
    await start(2, [{ containers: ['echo'] }, { containers: ['step-one'] }], LONG_LEASES);
    const [one, other] = [replicas.gateway(0), replicas.gateway(1)];
    const running = [await one.submit(['echo'], {}), await one.submit(['step-one'], {})];
    await one.pause();
    const startedAt = performance.now();
    const ids = [await other.submit(['echo'], {}), await other.submit(['step-one'], {})];
    for (const { status } of await other.finished([...running, ...ids])) expect(status).toBe('success');
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    expect(allRuns()).toHaveLength(4);
  });

  it('running jobs are taken up by the others and not run twice', async () => {
    await start(2, [{}, {}]);
    const one = replicas.gateway(0);
    const ids = await Promise.all(Array.from({ length: 8 }, () => one.submit(['delay'], { ms: 3_000 })));
    await whenJob(one, ids[7] ?? '', 'on a node', ({ state }) => ['running', 'succeeded'].includes(state));
    await one.pause();
    for (const { status } of await replicas.gateway(1).finished(ids)) expect(status).toBe('success');
    expect(allRuns()).toHaveLength(8);
  });
});
