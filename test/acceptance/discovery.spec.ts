import { once } from 'node:events';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { TestGateway, type NodeRow } from '../support/gateway.js';
import { json } from '../support/http.js';
import { at, submissionsTo, whyNot } from '../support/recovery.js';
import { TestReplicas } from '../support/replicas.js';
import { waitUntil } from '../support/wait.js';

const nodes: EmulatedNode[] = [];
let gateway: TestGateway | undefined;
let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'infernet-gateway-discovery-'));
  file = join(folder, 'ips.txt');
  for (let n = 0; n < 3; n += 1) nodes.push(await EmulatedNode.start({ rateLimit: false }));
});
afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
  await rm(folder, { recursive: true });
});

const node = (index: number): EmulatedNode => at(nodes, index);
const host = (index: number): string => new URL(node(index).url).host;

async function start(settings: Record<string, string>): Promise<TestGateway> {
  gateway = await TestGateway.start(settings);
  return gateway;
}

async function rowOf(of: TestGateway, index: number): Promise<NodeRow | undefined> {
  return (await of.nodes()).find(({ url }) => url === node(index).url);
}

/** Waits until a node is registered as expected. */
async function seen(of: TestGateway, index: number, expected: Partial<NodeRow>): Promise<NodeRow> {
  return waitUntil(`node ${index} is ${JSON.stringify(expected)}`, async () => {
    const row = await rowOf(of, index);
    const fits = Object.entries(expected).every(([name, value]) => row?.[name] === value);
    return row !== undefined && fits ? row : undefined;
  });
}

const gone = (of: TestGateway, index: number): Promise<boolean> =>
  waitUntil(`node ${index} is gone`, async () => (await rowOf(of, index)) === undefined);

/** Replaces the file as careful programs do. */
async function replace(text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

describe('a file', () => {
  it('is there at the start, is watched, and one that leaves it is drained, removed and taken back', async () => {
    await writeFile(file, `# two\n${host(0)}\n${node(1).url}/\n`);
    const gw = await start({ NODES_FILE: file });
    for (const index of [0, 1]) await seen(gw, index, { source: 'file', health: 'up', approved: true });

    await replace(`${host(1)}\n${host(2)}\n`);
    await seen(gw, 2, { source: 'file', health: 'up' });
    await gone(gw, 0);

    const id = (await rowOf(gw, 1))?.id;
    const running = await gw.submit(['delay'], { ms: 60_000 });
    for (let n = 0; n < 8; n += 1) await gw.submit(['delay'], { ms: 60_000 });
    await waitUntil('node 1 has work', () => node(1).load.pending > 0);
    await replace(`${host(0)}\n`);
    await seen(gw, 0, { source: 'file', state: 'active' });
    // It keeps what it runs, and gets nothing new.
    await seen(gw, 1, { state: 'removing', id: id ?? '' });
    await replace(`${host(0)}\n${host(1)}\n`);
    await seen(gw, 1, { state: 'active', id: id ?? '' });
    expect((await gw.rows([running]))[0]?.status).toBe('running');
  });

  it('that is missing, or has a line that is no node, changes nothing', async () => {
    const gw = await start({ NODES_FILE: file });
    expect(await gw.nodes()).toEqual([]);
    await writeFile(file, `${host(0)}\n`);
    const { id } = await seen(gw, 0, { health: 'up' });
    await writeFile(file, `${host(1)}\nnot a node!\n`);
    await rm(file);
    await writeFile(file, `${host(0)}\n${host(2)}\n`);
    // What was wrong before would have been acted upon by now.
    await seen(gw, 2, { health: 'up' });
    expect((await gw.nodes()).map(({ url }) => url)).toEqual([node(0).url, node(2).url]);
    expect((await rowOf(gw, 0))?.id).toBe(id);
  });

  it('never takes away what was registered by hand', async () => {
    const gw = await start({ NODES_FILE: file });
    const byHand = await gw.register(node(0).url);
    await writeFile(file, `${host(0)}\n${host(1)}\n`);
    await seen(gw, 1, { source: 'file' });
    await writeFile(file, `${host(2)}\n`);
    await seen(gw, 2, { source: 'file' });
    await gone(gw, 1);
    expect(await rowOf(gw, 0)).toMatchObject({ id: byHand.id, source: 'admin', state: 'active' });
  });
});

it('NODES: one that is not named any more at the next start leaves; without the setting all stay', async () => {
  const gw = await start({ NODES: `${node(0).url},${host(1)}` });
  for (const index of [0, 1]) await seen(gw, index, { source: 'env' });
  await gw.pause();
  await gw.resume({ NODES: host(1) });
  await gone(gw, 0);
  await gw.pause();
  await gw.resume({ NODES: '' });
  await seen(gw, 1, { source: 'env', state: 'active' });
  expect(await gw.nodes()).toHaveLength(1);
});

describe('a node explorer', () => {
  let server: Server;
  let answer: { status: number; body: string };
  let asked: string[];
  const list = (...indexes: number[]): void => {
    const data = indexes.map((index) => ({ ip: '127.0.0.1', port: node(index).port }));
    answer = { status: 200, body: JSON.stringify({ data }) };
  };
  const settings = (): Record<string, string> => ({
    NODE_EXPLORER_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    EXPLORER_INTERVAL_MS: '100',
  });
  /** Until it has surely acted upon the present answer: whoever asks again is done with the last one. */
  const askedTwice = async (): Promise<void> => {
    const from = asked.length;
    await waitUntil('it was asked again', () => asked.length >= from + 3);
  };

  beforeEach(async () => {
    asked = [];
    list();
    server = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.writeHead(answer.status).end(answer.body);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  it('strangers get no data of callers before an operator approves them', async () => {
    list(0);
    const gw = await start(settings());
    const { id } = await seen(gw, 0, { source: 'explorer', health: 'up', approved: false });
    expect(asked[0]).toBe('/api/nodes?minutes_past=60');
    expect(await whyNot(gw, 'echo', id)).toMatch(/approve/);
    const refused = await gw.post('{"containers":["echo"],"data":{}}');
    expect([refused.status, json<{ error: string }>(refused).error]).toEqual([
      405,
      'Container not supported',
    ]);
    expect(json(await gw.send('/info'))).toMatchObject({ containers: [] });
    expect((await gw.send('/resources?model_id=secret')).text).toBe('{}\n');
    expect((await gw.send('/api/v1/ips?container=echo')).text).toBe('[]\n');
    expect(submissionsTo(node(0))).toBe(0);
    expect(node(0).received.some(({ path }) => path.includes('secret'))).toBe(false);

    const counted = async (): Promise<string[]> => {
      const headers = { authorization: `Bearer ${gw.adminToken}` };
      return (await gw.send('/metrics', { headers })).text.match(/^infernet_gateway_nodes\{.*$/gm) ?? [];
    };
    expect(await counted()).toEqual(['infernet_gateway_nodes{state="unapproved",health="up"} 1']);

    expect((await gw.admin('POST', `/nodes/${id}/approve`)).status).toBe(200);
    await seen(gw, 0, { approved: true });
    expect(await counted()).toEqual(['infernet_gateway_nodes{state="active",health="up"} 1']);
    const [row] = await gw.finished([await gw.submit(['echo'], { n: 1 })]);
    expect(row?.result).toEqual({ container: 'echo', output: { n: 1 } });
  });

  it('one that leaves and comes back goes on as it was, approval included', async () => {
    list(0);
    const gw = await start(settings());
    const { id } = await seen(gw, 0, { health: 'up' });
    await gw.admin('POST', `/nodes/${id}/approve`);
    list(1);
    await gone(gw, 0);
    await seen(gw, 1, { approved: false });
    list(0, 1);
    await seen(gw, 0, { id, approved: true, state: 'active' });
    expect(await gw.nodes()).toHaveLength(2);
  });

  it('one that operators list no more is a stranger like others, what it runs is collected', async () => {
    await writeFile(file, `${host(0)}\n${host(1)}\n${host(2)}\n`);
    list(1);
    const gw = await start({ ...settings(), NODES_FILE: file });
    const [first, second] = [
      await seen(gw, 0, { source: 'file', health: 'up', approved: true }),
      await seen(gw, 1, { source: 'file', health: 'up', approved: true }),
    ];
    await askedTwice();
    await gw.admin('POST', `/nodes/${first.id}/drain`);
    const third = await seen(gw, 2, { health: 'up' });
    await gw.admin('POST', `/nodes/${third.id}/drain`);
    const running = await gw.submit(['delay'], { ms: 5_000 });
    await waitUntil('node 1 has work', () => node(1).load.pending > 0);
    await gw.admin('POST', `/nodes/${first.id}/resume`);

    // The explorer lists one of them already, the other one only when it is gone.
    await replace(`${host(2)}\n`);
    await seen(gw, 1, { id: second.id, source: 'explorer', state: 'active', approved: false });
    await gone(gw, 0);
    list(0, 1);
    await seen(gw, 0, { id: first.id, source: 'explorer', state: 'active', approved: false });
    for (const { id } of [first, second]) expect(await whyNot(gw, 'echo', id)).toMatch(/approve/);
    expect((await gw.finished([running]))[0]?.status).toBe('success');

    // An approval for what the explorer lists is undone by nothing.
    await gw.admin('POST', `/nodes/${first.id}/approve`);
    await askedTwice();
    expect(await rowOf(gw, 0)).toMatchObject({ source: 'explorer', approved: true });
  });

  it('a stranger that operators list themselves is approved', async () => {
    list(0, 1);
    const gw = await start({ ...settings(), NODES_FILE: file });
    const ids = [
      (await seen(gw, 0, { source: 'explorer', approved: false })).id,
      (await seen(gw, 1, { source: 'explorer', approved: false })).id,
    ];
    await writeFile(file, `${host(0)}\n`);
    await seen(gw, 0, { id: ids[0] ?? '', source: 'file', approved: true });
    await gw.pause();
    await gw.resume({ NODES: host(1) });
    await seen(gw, 1, { id: ids[1] ?? '', source: 'env', approved: true });
    await askedTwice();
    expect(await rowOf(gw, 0)).toMatchObject({ source: 'file', approved: true });
    expect(await rowOf(gw, 1)).toMatchObject({ source: 'env', approved: true });
  });

  it('that is down or answers rubbish changes nothing', async () => {
    list(0, 1);
    const gw = await start(settings());
    const before = [await seen(gw, 0, { health: 'up' }), await seen(gw, 1, { health: 'up' })];
    for (const bad of [
      { status: 500, body: '{"data":[]}' },
      { status: 200, body: '<html>' },
      { status: 200, body: '{"nodes":[]}' },
      { status: 200, body: '{"data":[{"ip":"../x"},{"ip":"1","port":99999}]}' },
    ]) {
      answer = bad;
      await askedTwice();
      expect((await gw.nodes()).map(({ id, state }) => [id, state])).toEqual(
        before.map(({ id }) => [id, 'active']),
      );
    }
  });

  it('what an operator has removed or drained stays so', async () => {
    list(0, 1);
    const gw = await start(settings());
    const [first, second] = [await seen(gw, 0, { health: 'up' }), await seen(gw, 1, { health: 'up' })];
    await gw.admin('DELETE', `/nodes/${first.id}`);
    await gw.admin('POST', `/nodes/${second.id}/drain`);
    await gone(gw, 0);
    await askedTwice();
    expect(await rowOf(gw, 0)).toBeUndefined();
    expect(await rowOf(gw, 1)).toMatchObject({ state: 'draining' });
    list(0);
    await gone(gw, 1);
    list(0, 1);
    await seen(gw, 1, { id: second.id, state: 'draining' });
  });

  it('may be trusted', async () => {
    list(0);
    const gw = await start({ ...settings(), EXPLORER_TRUST: 'true', NODES: host(1) });
    await seen(gw, 0, { source: 'explorer', health: 'up', approved: true });
    const { id } = await seen(gw, 1, { source: 'env', health: 'up' });
    expect((await gw.finished([await gw.submit(['echo'], {})]))[0]?.status).toBe('success');
    list(0, 1);
    await gw.pause();
    await gw.resume({ NODES: host(2) });
    await seen(gw, 1, { id, source: 'explorer', state: 'active', approved: true });
  });

  it('several replicas register each node once', async () => {
    const replicas = await TestReplicas.start({ gateways: 1, nodes: [], settings: settings() });
    try {
      await replicas.add();
      list(0, 1, 2);
      for (const one of replicas.gateways) {
        for (const index of [0, 1, 2]) await seen(one, index, { source: 'explorer' });
      }
      await askedTwice();
      const ids = await Promise.all(
        replicas.gateways.map(async (one) => (await one.nodes()).map(({ id }) => id).sort()),
      );
      expect(ids[0]).toHaveLength(3);
      expect(ids[1]).toEqual(ids[0]);
    } finally {
      await replicas.stop();
    }
  });
});
