import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { TestGateway, type NodeRow } from '../support/gateway.js';
import { json } from '../support/http.js';
import { waitUntil } from '../support/wait.js';

let gateway: TestGateway;
const emulated: EmulatedNode[] = [];

beforeAll(async () => void (gateway = await TestGateway.start({ SUBMIT_TIMEOUT_MS: '1000' })));
afterAll(() => gateway.stop());
afterEach(async () => {
  for (const { id } of await gateway.nodes()) await gateway.admin('DELETE', `/nodes/${id}?force=true`);
  await Promise.all(emulated.splice(0).map((node) => node.stop()));
});

async function startNode(options = {}): Promise<EmulatedNode> {
  const node = await EmulatedNode.start({ rateLimit: false, ...options });
  emulated.push(node);
  return node;
}

const gone = (id: string) =>
  waitUntil('the node is removed', async () => (await gateway.node(id)) === undefined);

describe('the admin token', () => {
  it.each([
    [undefined],
    ['Bearer'],
    ['Bearer wrong-token-of-some-length'],
    ['Basic an-admin-token-of-the-tests'],
    ['an-admin-token-of-the-tests'],
  ])('%s does not open', async (authorization) => {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    for (const [method, path] of [
      ['GET', '/admin/nodes'],
      ['POST', '/admin/nodes'],
      ['DELETE', '/admin/nodes/x'],
    ] as const) {
      const reply = await gateway.send(path, { method, headers });
      expect(reply.status).toBe(401);
      expect(reply.headers['content-type']).toMatch(/^application\/problem\+json\b/);
      expect(reply.headers['www-authenticate']).toBe('Bearer');
      expect(json(reply)).toMatchObject({ status: 401, title: 'Unauthorized', code: 'UNAUTHORIZED' });
    }
  });

  it('opens', async () => {
    expect((await gateway.admin('GET', '/nodes')).status).toBe(200);
  });
});

describe('registering', () => {
  it('normalises the url, probes the node and shows what it is', async () => {
    const node = await startNode({ containers: ['echo'] });
    const reply = await gateway.admin('POST', '/nodes', {
      url: `HTTP://LOCALHOST:${node.port}//`,
      name: 'first',
      weight: 2.5,
      maxInFlight: 7,
      labels: { zone: 'a' },
      headers: { 'X-Key': 'very-secret' },
    });
    expect(reply.status).toBe(201);
    expect(json(reply)).toMatchObject({
      id: expect.any(String),
      url: `http://localhost:${node.port}`,
      name: 'first',
      state: 'active',
      health: 'up',
      weight: 2.5,
      maxInFlight: 7,
      labels: { zone: 'a' },
      headers: ['X-Key'],
      version: '1.4.0',
      containers: [{ id: 'echo', external: true }],
      inFlight: 0,
    });
    expect(node.received.at(-1)?.headers['x-key']).toBe('very-secret');
    const { id } = json<NodeRow>(reply);
    for (const path of ['/nodes', `/nodes/${id}`]) {
      const shown = await gateway.admin('GET', path);
      expect(shown.status).toBe(200);
      expect(shown.text).not.toContain('very-secret');
    }
  });

  it('calls it by host, port and path where nobody gave a name', async () => {
    expect(await gateway.register('http://127.0.0.1:1/a/')).toMatchObject({ name: '127.0.0.1:1/a' });
    expect(await gateway.register('http://127.0.0.1:1/b')).toMatchObject({ name: '127.0.0.1:1/b' });
    expect(await gateway.register('http://127.0.0.1:1')).toMatchObject({ name: '127.0.0.1:1' });
  });

  it('409 for a url that is taken, however it is written', async () => {
    const node = await startNode();
    await gateway.register(node.url);
    const reply = await gateway.admin('POST', '/nodes', { url: `127.0.0.1:${node.port}/` });
    expect(reply.status).toBe(409);
    expect(reply.headers['content-type']).toMatch(/^application\/problem\+json\b/);
    expect(json(reply)).toMatchObject({ status: 409, field: 'url' });
  });

  it.each([
    [{}, 'url'],
    [{ url: '' }, 'url'],
    [{ url: 7 }, 'url'],
    [{ url: 'ftp://a' }, 'url'],
    [{ url: 'http://' }, 'url'],
    [{ url: 'http://user:word@a' }, 'url'],
    [{ url: 'http://a?b' }, 'url'],
    [{ url: 'http://a:99999' }, 'url'],
    [{ url: 'http://a', name: '' }, 'name'],
    [{ url: 'http://a', weight: 0 }, 'weight'],
    [{ url: 'http://a', weight: '1' }, 'weight'],
    [{ url: 'http://a', maxInFlight: 0 }, 'maxInFlight'],
    [{ url: 'http://a', maxInFlight: 1.5 }, 'maxInFlight'],
    [{ url: 'http://a', labels: { a: 1 } }, 'labels.a'],
    [{ url: 'http://a', labels: [] }, 'labels'],
    [{ url: 'http://a', headers: { 'a b': 'x' } }, 'headers.a b'],
    [{ url: 'http://a', headers: { a: 'x\r\ny: z' } }, 'headers.a'],
    [{ url: 'http://a', headers: { Host: 'x' } }, 'headers.Host'],
    [{ url: 'http://a', wieght: 1 }, 'wieght'],
    [[], 'body'],
  ])('400: %j names %s', async (body, field) => {
    const reply = await gateway.admin('POST', '/nodes', body);
    expect(reply.status).toBe(400);
    expect(reply.headers['content-type']).toMatch(/^application\/problem\+json\b/);
    expect(json(reply)).toMatchObject({ status: 400, field });
    expect(await gateway.nodes()).toEqual([]);
  });

  it('never repeats the credentials of a url that it refuses', async () => {
    for (const url of ['http://user:pass-word@a', 'user:pass-word@a', 'http://user:x@pass-word@a']) {
      const reply = await gateway.admin('POST', '/nodes', { url });
      expect(reply.status).toBe(400);
      expect(reply.text).not.toContain('pass-word');
    }
  });

  it('takes a node that is down, and notices when it comes up', async () => {
    const node = await startNode();
    await node.faults.set({ refuse: true });
    const registered = await gateway.register(node.url);
    expect(registered).toMatchObject({ health: 'down', lastError: { message: expect.any(String) } });
    await node.faults.clear();
    await gateway.seen(registered.id, 'up');
  });

  it('404 for a node that is not there', async () => {
    for (const id of ['01890000-0000-7000-8000-000000000000', 'x']) {
      for (const [method, path] of [
        ['GET', ''],
        ['PATCH', ''],
        ['DELETE', ''],
        ['POST', '/drain'],
        ['POST', '/resume'],
      ] as const) {
        const body = method === 'PATCH' ? { name: 'x' } : undefined;
        const reply = await gateway.admin(method, `/nodes/${id}${path}`, body);
        expect([method, path, reply.status]).toEqual([method, path, 404]);
      }
    }
  });
});

describe('changing', () => {
  it('keeps what is left out, and refuses what is wrong', async () => {
    const [node, other] = [await startNode(), await startNode()];
    const { id } = await gateway.register(node.url, { name: 'before', labels: { a: 'b' }, maxInFlight: 3 });
    await gateway.register(other.url);
    const changed = await gateway.admin('PATCH', `/nodes/${id}`, { weight: 3, maxInFlight: null });
    expect(changed.status).toBe(200);
    expect(json(changed)).toMatchObject({ name: 'before', labels: { a: 'b' }, weight: 3, maxInFlight: null });
    expect((await gateway.admin('PATCH', `/nodes/${id}`, { url: other.url })).status).toBe(409);
    const wrong = await gateway.admin('PATCH', `/nodes/${id}`, { weight: -1 });
    expect([wrong.status, json<{ field: string }>(wrong).field]).toEqual([400, 'weight']);
  });

  it('respects maxInFlight, and its change at once', async () => {
    const node = await startNode();
    const { id } = await gateway.register(node.url, { maxInFlight: 1 });
    const jobs: string[] = [];
    for (let n = 0; n < 3; n += 1) jobs.push(await gateway.submit(['delay'], { ms: 1_500 }));
    expect(node.load.pending).toBe(1);
    await gateway.admin('PATCH', `/nodes/${id}`, { maxInFlight: 2 });
    await waitUntil('one more is sent', () => node.load.pending === 2);
    await gateway.admin('PATCH', `/nodes/${id}`, { maxInFlight: null });
    await gateway.finished(jobs);
  });

  it('a node that moved keeps its jobs', async () => {
    const node = await startNode({ host: '0.0.0.0' });
    const { id } = await gateway.register(`http://127.0.0.1:${node.port}`);
    const job = await gateway.submit(['delay'], { ms: 700 });
    const moved = await gateway.admin('PATCH', `/nodes/${id}`, { url: `http://localhost:${node.port}/` });
    expect(json(moved)).toMatchObject({ id, url: `http://localhost:${node.port}`, health: 'up' });
    const [row] = await gateway.finished([job]);
    expect(row?.status).toBe('success');
    expect(node.executions).toHaveLength(1);
  });
});

describe('draining', () => {
  it('sends no new jobs, collects the running ones, and ends with resume', async () => {
    const [drained, other] = [await startNode(), await startNode()];
    const { id } = await gateway.register(drained.url);
    const running = await gateway.submit(['delay'], { ms: 500 });
    await gateway.register(other.url);
    const reply = await gateway.admin('POST', `/nodes/${id}/drain`);
    expect([reply.status, json<NodeRow>(reply).state]).toEqual([200, 'draining']);
    const ids = await Promise.all(Array.from({ length: 10 }, (_, n) => gateway.submit(['echo'], { n })));
    await gateway.finished([running, ...ids]);
    expect(drained.executions).toHaveLength(1);
    expect(other.executions).toHaveLength(10);
    const resumed = await gateway.admin('POST', `/nodes/${id}/resume`);
    expect([resumed.status, json<NodeRow>(resumed).state]).toEqual([200, 'active']);
    await gateway.finished(
      await Promise.all(Array.from({ length: 10 }, (_, n) => gateway.submit(['echo'], { n }))),
    );
    expect(drained.executions.length).toBeGreaterThan(1);
  });

  it('holds jobs while all nodes are drained', async () => {
    const node = await startNode();
    const { id } = await gateway.register(node.url);
    await gateway.admin('POST', `/nodes/${id}/drain`);
    const job = await gateway.submit(['echo'], {});
    expect((await gateway.rows([job]))[0]?.status).toBe('running');
    await gateway.admin('POST', `/nodes/${id}/resume`);
    expect((await gateway.finished([job]))[0]?.status).toBe('success');
  });
});

describe('deleting', () => {
  it('answers 202, drains, then the node is gone and its url free', async () => {
    const node = await startNode();
    const { id } = await gateway.register(node.url);
    const job = await gateway.submit(['delay'], { ms: 500 });
    const reply = await gateway.admin('DELETE', `/nodes/${id}`);
    expect([reply.status, json<NodeRow>(reply).state]).toEqual([202, 'removing']);
    expect(await gateway.node(id)).toMatchObject({ state: 'removing' });
    expect((await gateway.finished([job]))[0]?.status).toBe('success');
    await gone(id);
    expect((await gateway.register(node.url)).id).not.toBe(id);
  });

  it('removes an idle node at once', async () => {
    const { id } = await gateway.register((await startNode()).url);
    expect((await gateway.admin('DELETE', `/nodes/${id}`)).status).toBe(202);
    await gone(id);
  });

  it('removes a node on which the last submission fails', async () => {
    const [bad, good] = [await startNode(), await startNode()];
    const { id } = await gateway.register(bad.url);
    await bad.faults.set({ frozen: true });
    const submitted = gateway.submit(['echo'], {});
    await waitUntil('the node has the request', () => bad.received.some(({ method }) => method === 'POST'));
    await gateway.register(good.url);
    expect((await gateway.admin('DELETE', `/nodes/${id}`)).status).toBe(202);
    expect(await gateway.node(id)).toMatchObject({ state: 'removing', inFlight: 1 });
    bad.kill();
    await bad.faults.clear();
    await bad.restart();
    expect((await gateway.finished([await submitted]))[0]?.status).toBe('success');
    await gone(id);
  });

  it('with force gives its jobs away', async () => {
    const [bad, good] = [await startNode(), await startNode()];
    const { id } = await gateway.register(bad.url);
    const jobs = [await gateway.submit(['delay'], { ms: 300 }), await gateway.submit(['echo'], {})];
    await bad.faults.set({ slow: 1_000, hang: true });
    jobs.push(await gateway.submit(['echo'], {}));
    await gateway.register(good.url);
    const reply = await gateway.admin('DELETE', `/nodes/${id}?force=true`);
    expect([reply.status, json<NodeRow>(reply).state]).toEqual([202, 'removed']);
    expect(await gateway.node(id)).toBeUndefined();
    for (const { status } of await gateway.finished(jobs)) expect(status).toBe('success');
    expect(good.executions.length).toBeGreaterThan(0);
  });

  it('with force gives a job away that is still on its way there', async () => {
    const [bad, good] = [await startNode(), await startNode()];
    const { id } = await gateway.register(bad.url);
    await bad.faults.set({ frozen: true });
    const submitted = gateway.submit(['echo'], {});
    await waitUntil('the node has the request', () => bad.received.some(({ method }) => method === 'POST'));
    await gateway.admin('DELETE', `/nodes/${id}?force=true`);
    await gateway.register(good.url);
    // Long before a sweep would find it.
    await gateway.finished([await submitted], {}, 8_000);
    expect(good.executions).toHaveLength(1);
  });
});

describe('a restart of the gateway', () => {
  it('keeps nodes and their settings, and takes NODES in', async () => {
    const [kept, drained, named, removed] = [
      await startNode(),
      await startNode(),
      await startNode(),
      await startNode(),
    ];
    const { id } = await gateway.register(kept.url, {
      name: 'kept',
      weight: 2,
      maxInFlight: 9,
      labels: { a: 'b' },
      headers: { 'x-key': 'secret' },
    });
    const other = await gateway.register(drained.url);
    await gateway.admin('POST', `/nodes/${other.id}/drain`);
    const third = await gateway.register(removed.url);
    await gateway.admin('DELETE', `/nodes/${third.id}`);
    await gone(third.id);
    await gateway.pause();
    const seen = kept.received.length;
    await gateway.resume({ NODES: `${named.url}/, 127.0.0.1:${kept.port}` });
    expect(await gateway.nodes()).toEqual([
      expect.objectContaining({
        id,
        name: 'kept',
        weight: 2,
        maxInFlight: 9,
        labels: { a: 'b' },
        headers: ['x-key'],
        health: 'up',
        source: 'admin',
      }),
      expect.objectContaining({ id: other.id, state: 'draining' }),
      expect.objectContaining({ url: named.url, source: 'env', health: 'up' }),
    ]);
    expect(kept.received[seen]?.headers['x-key']).toBe('secret');
  });
});
