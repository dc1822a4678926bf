import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FleetNode } from './node.js';
import { nodeConfig } from './node.fixture.js';
import { NodeClient } from './node-client.js';
import { NodeSender } from './node-sender.js';

interface Received {
  readonly path: string;
  readonly body: string;
}

/** Answers of a stand-in node; each is given the body of a request and the path it came on. */
type Answer = (received: Received) => Promise<{ status: number; body: string }>;

let server: Server;
let client: NodeClient;
let sender: NodeSender;
let node: FleetNode;
let received: Received[];
let answer: Answer;

/** Accepts every item under the id that its body carries. */
const accept: Answer = ({ path, body }) => {
  const ids = [...body.matchAll(/"id":"([^"]+)"/g)].map(([, id]) => ({ id }));
  return Promise.resolve({ status: 200, body: JSON.stringify(path.endsWith('batch') ? ids : ids[0]) });
};

beforeEach(async () => {
  received = [];
  answer = accept;
  server = createServer((request, response) => {
    void readBody(request).then(async (body) => {
      const got = { path: request.url ?? '', body };
      received.push(got);
      const { status, body: text } = await answer(got);
      response.writeHead(status, { 'content-type': 'application/json' }).end(text);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = new NodeClient();
  node = new FleetNode(
    nodeConfig({ id: 'n', url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }),
  );
  sender = new NodeSender(node, client, 5_000);
});

afterEach(async () => {
  await client.close();
  server.closeAllConnections();
  server.close();
});

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const job = (id: string, data = '{}'): Buffer => Buffer.from(`{"id":"${id}","data":${data}}`);

/** Lets the sender send one job and holds its answer back until told. */
function holdFirst(): { release: () => void } {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  answer = async (got) => {
    if (received.length === 1) await held;
    return accept(got);
  };
  return { release };
}

async function untilReceived(count: number): Promise<void> {
  while (received.length < count) await new Promise((resolve) => setTimeout(resolve, 2));
}

describe('the sender', () => {
  it('sends a job that comes alone at once and alone', async () => {
    expect(await sender.submit(job('a'))).toEqual({ kind: 'accepted', id: 'a' });
    expect(received).toEqual([{ path: '/api/jobs', body: '{"id":"a","data":{}}' }]);
  });

  it('sends what gathered while a request was under way as one batch, byte for byte', async () => {
    const { release } = holdFirst();
    const first = sender.submit(job('first'));
    await untilReceived(1);
    const data =
      '{ "n":115792089237316195423570985008687907853269984665640564039457584007913129639935,"x":1.0 }';
    const rest = ['b', 'c', 'd'].map((id) => sender.submit(job(id, data)));
    release();
    expect(await Promise.all([first, ...rest])).toEqual(
      ['first', 'b', 'c', 'd'].map((id) => ({ kind: 'accepted', id })),
    );
    expect(received[1]).toEqual({
      path: '/api/jobs/batch',
      body: `[${['b', 'c', 'd'].map((id) => job(id, data).toString()).join(',')}]`,
    });
    expect(received).toHaveLength(2);
  });

  it('sends at most 100 jobs and 8 MiB together', async () => {
    const { release } = holdFirst();
    const first = sender.submit(job('first'));
    await untilReceived(1);
    const many = Array.from({ length: 150 }, (_, index) => sender.submit(job(`n${index}`)));
    const large = ['x', 'y'].map((id) => sender.submit(job(id, `{"a":"${'a'.repeat(5_000_000)}"}`)));
    release();
    for (const { kind } of await Promise.all([first, ...many, ...large])) expect(kind).toBe('accepted');
    const counts = received.map(({ body }) => body.match(/"id"/g)?.length);
    expect(counts.slice(0, 3)).toEqual([1, 100, 51]);
    expect(counts.slice(3)).toEqual([1]);
  });

  it('hands out refusals for each item', async () => {
    const { release } = holdFirst();
    const first = sender.submit(job('first'));
    await untilReceived(1);
    const body = '[{"id":"b"},{"error":"No proof","params":{"container":"c"}}]';
    answer = () => Promise.resolve({ status: 200, body });
    const rest = [sender.submit(job('b')), sender.submit(job('c'))];
    release();
    await first;
    expect(await Promise.all(rest)).toEqual([
      { kind: 'accepted', id: 'b' },
      { kind: 'refused', status: 405, reason: 'No proof', params: { container: 'c' } },
    ]);
  });

  it('halves a batch that is answered with 500 until the culprit stands alone', async () => {
    const { release } = holdFirst();
    const first = sender.submit(job('first'));
    await untilReceived(1);
    const calm = answer;
    const poisoned = { status: 500, body: '{"error":"Could not enqueue job:  poison"}' };
    answer = (got) => (got.body.includes('"culprit"') ? Promise.resolve(poisoned) : calm(got));
    const ids = ['a', 'b', 'culprit', 'c', 'd', 'e', 'f'];
    const replies = ids.map((id) => sender.submit(job(id)));
    release();
    await first;
    expect(await Promise.all(replies)).toEqual(
      ids.map((id) =>
        id === 'culprit'
          ? { kind: 'error', reason: '500 Could not enqueue job:  poison' }
          : { kind: 'accepted', id },
      ),
    );
  });

  it('leaves every job of a batch unclear whose answer is lost', async () => {
    const { release } = holdFirst();
    const first = sender.submit(job('first'));
    await untilReceived(1);
    answer = () => {
      server.closeAllConnections();
      return Promise.resolve({ status: 200, body: '' });
    };
    const rest = [sender.submit(job('b')), sender.submit(job('c'))];
    release();
    await Promise.allSettled([first]);
    for (const { kind } of await Promise.all(rest)) expect(kind).toBe('unclear');
  });

  it('does not let a slow request keep others waiting', async () => {
    const { release } = holdFirst();
    const first = sender.submit(job('first'));
    await untilReceived(1);
    expect(await sender.submit(job('b'))).toEqual({ kind: 'accepted', id: 'b' });
    release();
    await first;
  });

  it('does not let a slow batch keep what did not fit into it waiting', async () => {
    const { release } = holdFirst();
    const many = Array.from({ length: 250 }, (_, index) => sender.submit(job(`n${index}`)));
    const slow = Promise.all(many.slice(0, 100)).then((replies) => replies.map(({ kind }) => kind));
    const first = await Promise.race([slow, Promise.all(many.slice(100))]);
    expect(first).toHaveLength(150);
    const counts = received.map(({ body }) => body.match(/"id"/g)?.length);
    expect(counts).toEqual([100, 100, 50]);
    release();
    expect(new Set(await slow)).toEqual(new Set(['accepted']));
  });

  it('passes jobs on at once when the rate budget is spent for long', async () => {
    node.budget.limited('create_job', performance.now(), 60_000);
    node.budget.limited('create_job_batch', performance.now(), 60_000);
    expect(await sender.submit(job('a'))).toMatchObject({ kind: 'limited' });
    expect(received).toEqual([]);
  });

  it('takes the batch route for one job when only that one has budget left', async () => {
    node.budget.limited('create_job', performance.now(), 60_000);
    expect(await sender.submit(job('a'))).toEqual({ kind: 'accepted', id: 'a' });
    expect(received[0]?.path).toBe('/api/jobs/batch');
  });
});
