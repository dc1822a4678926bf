import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { FleetNode } from '../../src/nodes/node.js';
import { NodeClient } from '../../src/nodes/node-client.js';
import { startTestGateway, type TestGateway } from '../support/gateway.js';
import { json } from '../support/http.js';
import { StreamCaller } from '../support/stream-caller.js';
import { waitUntil } from '../support/wait.js';

/** Servers that are no nodes, or nodes that mean harm. */

const open: { close(): unknown }[] = [];
const client = new NodeClient();
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

async function serve(
  handler: (request: IncomingMessage, response: ServerResponse) => unknown,
): Promise<string> {
  const server = createServer(handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push({ close: () => (server.closeAllConnections(), server.close()) });
  return addressOf(server);
}

function addressOf(server: Pick<Server, 'address'>): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function nodeAt(url: string, headers: Record<string, string> = {}): FleetNode {
  return new FleetNode({
    id: 'n',
    url,
    name: 'n',
    weight: 1,
    maxInFlight: null,
    labels: {},
    headers,
    state: 'active',
    source: 'admin',
    approved: true,
    leftFrom: null,
    createdAt: new Date(),
  });
}

/** Writes as fast as the other side reads, until it goes away. @returns bytes written so far */
function pourInto(response: ServerResponse, piece: string): () => number {
  let written = 0;
  const pour = (): void => {
    while (!response.destroyed) {
      written += piece.length;
      if (!response.write(piece)) return void response.once('drain', pour);
    }
  };
  pour();
  return () => written;
}

const ids = ['0198f6a5-0000-7000-8000-000000000001', '0198f6a5-0000-7000-8000-000000000002'];
const query = { ids, intermediate: false };
const limits = { timeoutMs: 2_000, maxRowBytes: 1_000_000 };

describe('a reply without end', () => {
  it.each([
    ['/info', '{"containers":[', '{"id":"a"},'],
    ['a page', '<html>', '<p>more</p>'],
  ])('%s is cut off after a megabyte', async (_, head, piece) => {
    let written = (): number => 0;
    const url = await serve((_request, response) => {
      response.write(head);
      written = pourInto(response, piece.repeat(1_000));
    });
    await expect(client.info(nodeAt(url), 2_000)).rejects.toThrow('a reply of more than 1048576 bytes');
    // What the sockets' buffers took, and not a byte more than that.
    expect(written()).toBeLessThan(20_000_000);
  });

  it('an answer to a submission is cut off, and nobody knows whether the job runs', async () => {
    const url = await serve((_request, response) => void pourInto(response, ' '.repeat(10_000)));
    const reply = await client.submit(nodeAt(url), Buffer.from('{}'), 2_000);
    expect(reply).toMatchObject({ kind: 'unclear', reason: 'a reply of more than 1048576 bytes' });
  });

  it('rows that nobody asked for end the reading', async () => {
    const row = JSON.stringify({ id: ids[0], result: { output: 'x'.repeat(1_000) }, status: 'success' });
    const url = await serve((_request, response) => {
      response.write('[');
      pourInto(response, `${row},`);
    });
    const rows: unknown[] = [];
    const reply = await client.results(nodeAt(url), query, limits, (got) => rows.push(got));
    expect(reply).toMatchObject({ kind: 'error', reason: expect.stringContaining('no more rows') });
    expect(rows).toHaveLength(2);
  });

  it('a row larger than allowed is dropped while it arrives', async () => {
    const size = 300_000_000;
    const url = await serve((_request, response) => {
      response.write(`[{"id":"${ids[0]}","status":"success","result":{"output":"`);
      let left = size;
      const more = (): void => {
        while (left > 0 && !response.destroyed) {
          left -= 100_000;
          if (!response.write('x'.repeat(100_000))) return void response.once('drain', more);
        }
        response.end('"}}]');
      };
      more();
    });
    const before = process.memoryUsage();
    let peak = 0;
    const timer = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed);
    }, 20);
    const rows: unknown[] = [];
    const reply = await client.results(nodeAt(url), query, limits, (got) => rows.push(got));
    clearInterval(timer);
    expect(reply).toEqual({ kind: 'complete' });
    expect(rows).toEqual([{ id: ids[0], oversize: true }]);
    expect(peak - before.arrayBuffers - before.heapUsed).toBeLessThan(size / 2);
  });
});

describe('a reply that trickles', () => {
  const trickle = (response: ServerResponse, head: string): void => {
    response.write(head);
    const timer = setInterval(() => response.write(' '), 50);
    response.once('close', () => clearInterval(timer));
  };

  it('is given up, though it never falls silent', async () => {
    const url = await serve((_request, response) => trickle(response, '['));
    const node = nodeAt(url);
    const [info, results, submission] = await Promise.all([
      client.info(node, 500).then(
        () => 'answered',
        (error: Error) => error.message,
      ),
      client.results(node, query, { ...limits, timeoutMs: 500 }, () => undefined),
      client.submit(node, Buffer.from('{}'), 500),
    ]);
    expect(info).toContain('a reply that trickled');
    expect(results).toMatchObject({ kind: 'unclear', reason: expect.stringContaining('trickled') });
    expect(submission).toMatchObject({ kind: 'unclear', reason: expect.stringContaining('trickled') });
  });
});

describe('redirects', () => {
  it.each([301, 302, 303, 307, 308])('%d is not followed, and takes no secret anywhere', async (status) => {
    const internal: string[] = [];
    const target = await serve((request, response) => {
      internal.push(`${request.method} ${request.url}`);
      response.end('{"secret":true}');
    });
    const url = await serve((request, response) => {
      response.writeHead(status, { location: `${target}${request.url}` }).end();
    });
    const node = nodeAt(url, { 'x-api-key': 'secret' });
    await expect(client.info(node, 2_000)).rejects.toThrow(`/info answered ${status}`);
    const body = Buffer.from('{"containers":["echo"],"data":{}}');
    expect(await client.submit(node, body, 2_000)).toMatchObject({ kind: 'unreachable' });
    expect(await client.submitBatch(node, [body], 2_000)).toMatchObject({ kind: 'unreachable' });
    expect(await client.results(node, query, limits, () => undefined)).toMatchObject({ kind: 'unreachable' });
    expect(internal).toEqual([]);
  });
});

describe('what is no HTTP', () => {
  it.each([
    ['a head without end', `HTTP/1.1 200 OK\r\n${'x-filler: 0123456789\r\n'.repeat(10_000)}`],
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['a length that is none', 'HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
  ])('%s is an error of the node', async (_, text) => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined);
      socket.write(text);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    open.push(server);
    await expect(client.info(nodeAt(addressOf(server as unknown as Server)), 1_000)).rejects.toThrow(
      expect.objectContaining({ name: 'NodeUnavailable' }),
    );
  });
});

describe('behind a gateway', () => {
  it(
    'names that mean something to JavaScript are names, and the other nodes go on',
    { timeout: 60_000 },
    async () => {
      const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
      const containers = names.map((id) => ({ id, external: true, image: '<script>', description: '"' }));
      const info = JSON.stringify({ chain: { enabled: false, address: '' }, containers, version: '1.4.0' });
      const url = await serve((request, response) => {
        response.setHeader('content-type', 'application/json');
        response.end(request.url === '/info' ? info : '{"status":"healthy"}');
      });
      const bomb = await serve((_request, response) => response.end(`{"containers":${'['.repeat(400_000)}`));
      const fleet = await startTestGateway();
      try {
        const { gateway } = fleet;
        await gateway.register(url);
        const { id } = await gateway.register(bomb);
        const seen = json<{ containers: { id: string }[] }>(await gateway.send('/info'));
        for (const name of names) expect(seen.containers.map((container) => container.id)).toContain(name);
        expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain('external');
        await waitUntil('the broken one is down', async () => (await gateway.node(id))?.health === 'down');
        const job = await gateway.submit(['echo'], { still: 'works' });
        expect((await gateway.finished([job]))[0]?.status).toBe('success');
        expect((await gateway.admin('GET', '/explain?container=__proto__')).status).toBe(200);
      } finally {
        await fleet.stop();
      }
    },
  );

  describe('a result that', () => {
    /** A node that has one container, and one result for everything; the first questions for it get a page. */
    function giveAlways(result: string, pages: number): Promise<string> {
      const containers = [{ id: 'odd', external: true, image: 'odd', description: '' }];
      const info = JSON.stringify({ chain: { enabled: false, address: '' }, containers, version: '1.4.0' });
      let questions = 0;
      return serve(async (request, response) => {
        const { pathname, searchParams } = new URL(request.url ?? '', 'http://node');
        if (request.method === 'POST') {
          const { id } = (await bodyOf(request)) as { id: string };
          if (pathname.endsWith('/stream')) return void response.end(`${id}\noutput`);
          response.setHeader('content-type', 'application/json');
          return void response.end(JSON.stringify({ id }));
        }
        if (pathname === '/api/jobs' && (questions += 1) <= pages) {
          return void response.writeHead(500, { 'content-type': 'text/html' }).end('<html>');
        }
        response.setHeader('content-type', 'application/json');
        const row = (id: string): string => `{"id":"${id}","status":"success","result":${result}}`;
        if (pathname === '/api/jobs') response.end(`[${searchParams.getAll('id').map(row).join()}]`);
        else response.end(pathname === '/info' ? info : '{"status":"healthy"}');
      });
    }

    async function withNode(
      url: string,
      settings: Record<string, string>,
      act: (gateway: TestGateway) => Promise<void>,
    ): Promise<void> {
      const fleet = await startTestGateway({ settings, nodes: [] });
      try {
        await fleet.gateway.seen((await fleet.gateway.register(url)).id, 'up');
        await act(fleet.gateway);
      } finally {
        await fleet.stop();
      }
    }

    it.each([['{}'], ['{"odd":{"code":1}}']])(
      'is nested deeper than the stack goes is delivered as it is, with ERROR_WHEN=%s',
      { timeout: 60_000 },
      async (errorWhen) => {
        const deep = `${'['.repeat(30_000)}${']'.repeat(30_000)}`;
        const result = `{"container":"odd","output":{"code":${deep},"name":"","description":""}}`;
        await withNode(await giveAlways(result, 0), { ERROR_WHEN: errorWhen }, async (gateway) => {
          const id = await gateway.submit(['odd'], {});
          await waitUntil('it has ended', async () =>
            (await gateway.getResults([id])).text.includes('"status":"success"'),
          );
          expect((await gateway.getResults([id])).text).toContain(result);
        });
      },
    );

    it.each([
      ['has no output', `{"container":"odd","output":null,"more":"${'x'.repeat(2_000)}"}`],
      ['JavaScript cannot read', `{"container":"odd","output":NaN,"more":"${'x'.repeat(2_000)}"}`],
    ])('%s, and is too long to be kept of a stream, ends it', { timeout: 60_000 }, async (_, result) => {
      const settings = { STREAM_OUTPUT_BYTES: '1000' };
      // The relay asks six times before it leaves the stream to the collector.
      await withNode(await giveAlways(result, 6), settings, async (gateway) => {
        const caller = StreamCaller.start(gateway.url, ['odd'], {});
        await caller.ended;
        const [row] = await gateway.finished([caller.id]);
        expect(row?.result?.container).toBe('odd');
      });
    });
  });
});

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString());
}
