import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { json } from '../support/http.js';
import { waitUntil } from '../support/wait.js';

/** What one caller may do to the others: real sockets, slow, silent or too many. */

const MAX_CONNECTIONS = 40;

let fleet: TestFleet;
const open: Socket[] = [];
beforeAll(async () => {
  fleet = await startTestGateway({
    settings: {
      HEADERS_TIMEOUT_MS: '600',
      REQUEST_TIMEOUT_MS: '1500',
      MAX_CONNECTIONS: String(MAX_CONNECTIONS),
    },
  });
});
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
});
afterAll(() => fleet.stop());

async function socketTo(): Promise<Socket> {
  const { hostname, port } = new URL(fleet.gateway.url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  open.push(socket);
  await once(socket, 'connect');
  return socket;
}

/** Everything the gateway sends until it closes the connection. */
async function untilClosed(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  if (!socket.closed) await once(socket, 'close');
  return text;
}

/** Sends `piece` again and again, as slowly as keeps a connection from falling silent. */
function trickle(socket: Socket, piece: string): void {
  const timer = setInterval(() => socket.write(piece), 50);
  socket.once('close', () => clearInterval(timer));
}

const HEAD = 'POST /api/jobs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';

describe('a request that takes for ever', () => {
  it('to send its head is answered 408 and closed', async () => {
    const socket = await socketTo();
    socket.write('GET /health HTTP/1.1\r\nhost: x\r\n');
    trickle(socket, 'x-more: y\r\n');
    expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 408 .*"params":\{\}\}\n$/s);
  });

  it('to send its body is answered 408 and closed', async () => {
    const socket = await socketTo();
    socket.write(`${HEAD}content-length: 1000000\r\n\r\n{`);
    trickle(socket, ' ');
    expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('to send its chunks is answered 408 and closed', async () => {
    const socket = await socketTo();
    socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n`);
    trickle(socket, '1\r\n \r\n');
    expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('to begin is closed', async () => {
    expect(await untilClosed(await socketTo())).toMatch(/^(HTTP\/1\.1 408 .*)?$/s);
  });

  it('keeps nobody else waiting, however many there are', async () => {
    for (let n = 0; n < MAX_CONNECTIONS - 10; n += 1) {
      const socket = await socketTo();
      socket.write(`${HEAD}content-length: 16777216\r\n\r\n`);
      trickle(socket, '  ');
    }
    const id = await fleet.gateway.submit(['echo'], { hello: 1 });
    expect((await fleet.gateway.finished([id]))[0]?.status).toBe('success');
  });
});

describe('connections', () => {
  it('beyond the limit are closed at once, and the gateway serves again when there are fewer', async () => {
    const answers: string[] = [];
    const sockets = await Promise.all(Array.from({ length: MAX_CONNECTIONS + 20 }, socketTo));
    for (const socket of sockets) void untilClosed(socket).then((text) => answers.push(text));
    // One that is let in and says nothing is told that it took too long; these are told nothing.
    await waitUntil('20 are closed', () => answers.filter((text) => text === '').length >= 20);
    for (const socket of sockets) socket.destroy();
    const served = await waitUntil('it serves again', () =>
      fleet.gateway.send('/health').catch(() => undefined),
    );
    expect(served.status).toBe(200);
  });
});

describe('a head', () => {
  const answerTo = async (text: string): Promise<string> => {
    const socket = await socketTo();
    socket.write(text);
    return untilClosed(socket);
  };

  it.each([
    ['a header of a megabyte', `x-large: ${'y'.repeat(1_000_000)}\r\n`],
    ['thousands of headers', 'x-many: y\r\n'.repeat(5_000)],
  ])('%s is answered 431', async (_, headers) => {
    const answer = await answerTo(`GET /health HTTP/1.1\r\nhost: x\r\n${headers}\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 .*"error":"The head of the request is larger than 16384 bytes"/s);
  });

  it('a query of 17,000 bytes is answered 431, one of 400 ids is read', async () => {
    expect(await answerTo(`GET /api/jobs?id=${'x'.repeat(17_000)} HTTP/1.1\r\nhost: x\r\n\r\n`)).toMatch(
      / 431 /,
    );
    const ids = Array.from(
      { length: 390 },
      (_, n) => `0198f6a5-0000-7000-8000-${String(n).padStart(12, '0')}`,
    );
    const reply = await fleet.gateway.send(`/api/jobs?${ids.map((id) => `id=${id}`).join('&')}`);
    expect([reply.status, reply.text]).toEqual([200, '[]\n']);
  });

  it.each([
    ['another protocol', 'EHLO example.org\r\n\r\n'],
    ['no method', 'BREW /pot HTTP/1.1\r\nhost: x\r\n\r\n'],
    ['two lengths', `${HEAD}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`],
    ['a length and chunks', `${HEAD}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a header over two lines', 'GET /health HTTP/1.1\r\nhost: x\r\nx-a: b\r\n c\r\n\r\n'],
  ])('%s is answered 400', async (_, text) => {
    const answer = await answerTo(text);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({
      error: expect.any(String),
      params: {},
    });
  });
});

describe('a path', () => {
  it.each([
    ['/%', 'application/json', { error: expect.any(String), params: { field: 'url' } }],
    ['/api/jobs%', 'application/json', { params: { field: 'url' } }],
    ['/admin/nodes/%E0%A4%A', 'application/problem+json', { code: 'MALFORMED_REQUEST', status: 400 }],
  ])('%s that cannot be decoded is answered 400', async (path, type, body) => {
    const reply = await fleet.gateway.send(path);
    expect(reply.status).toBe(400);
    expect(reply.headers['content-type']).toContain(type);
    expect(json(reply)).toMatchObject(body);
  });

  it.each([
    ['PUT', '/api/jobs', 'GET, HEAD, POST'],
    ['DELETE', '/health', 'GET, HEAD'],
    ['GET', '/admin/jobs/retry', 'POST'],
  ] as const)('%s %s is answered 405 with the methods there are', async (method, path, allow) => {
    const reply = await fleet.gateway.send(path, { method });
    expect([reply.status, reply.headers.allow]).toEqual([405, allow]);
  });
});
