import { createServer, type RequestListener, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { load } from './load.js';

let server: Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function serve(listener: RequestListener): Promise<string> {
  server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it('sends one request after the other on each connection and counts the answers', async () => {
  const large = 'x'.repeat(300_000);
  let served = 0;
  const ports = new Set<number | undefined>();
  const url = await serve((request, response) => {
    served += 1;
    ports.add(request.socket.remotePort);
    request.resume().on('end', () => response.setHeader('content-length', large.length).end(large));
  });
  const report = await load({ url, path: '/jobs', body: '{}', connections: 3, ms: 200 });
  expect(report.answered).toBe(served);
  expect(report.answered).toBeGreaterThan(3);
  expect(ports.size).toBe(3);
  expect(report.p99Ms).toBeGreaterThanOrEqual(report.p50Ms);
});

it('asks for each of several paths in turn, with the headers it is given', async () => {
  const seen: string[] = [];
  const url = await serve((request, response) => {
    seen.push(`${request.url} ${String(request.headers['x-who'])}`);
    response.setHeader('content-length', 0).end();
  });
  await load({ url, method: 'GET', path: ['/a', '/b'], headers: { 'x-who': 'me' }, connections: 1, ms: 50 });
  expect(seen.slice(0, 2)).toEqual(['/a me', '/b me']);
  expect(seen.filter((one) => one === '/a me').length).toBe(Math.ceil(seen.length / 2));
});

it('fails on an answer that is no success, and says what it was', async () => {
  const url = await serve((_request, response) =>
    response.writeHead(503, { 'content-length': 4 }).end('busy'),
  );
  await expect(load({ url, method: 'GET', path: '/', connections: 1, ms: 100 })).rejects.toThrow(
    /503[^]*busy/,
  );
});

it('fails when a connection is closed', async () => {
  const url = await serve((request) => request.socket.destroy());
  await expect(load({ url, method: 'GET', path: '/', connections: 2, ms: 100 })).rejects.toThrow(
    /closed|ECONNRESET/,
  );
});
