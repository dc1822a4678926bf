import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestGateway, type TestFleet } from '../support/gateway.js';
import type { RawReply } from '../support/http.js';

/** What browsers are told, and who gets in without a token. */

let fleet: TestFleet;
beforeAll(async () => void (fleet = await startTestGateway()));
afterAll(() => fleet.stop());

const policyOf = (reply: RawReply): string => String(reply.headers['content-security-policy']);

it.each(['/health', '/info', '/api/jobs', '/openapi.json', '/nowhere', '/admin/nodes', '/%'])(
  'the answer of %s is no page, whatever it holds',
  async (path) => {
    const reply = await fleet.gateway.send(path);
    expect(policyOf(reply)).toBe("default-src 'none'; frame-ancestors 'none'; sandbox");
    expect(reply.headers['x-content-type-options']).toBe('nosniff');
    expect(reply.headers['referrer-policy']).toBe('no-referrer');
  },
);

it('a stream of HTML is no page either', async () => {
  const reply = await fleet.gateway.send('/api/jobs/stream', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ containers: ['echo'], data: { html: '<script>alert(1)</script>' } }),
  });
  expect([reply.status, reply.headers['content-type']]).toEqual([200, expect.stringContaining('text/html')]);
  expect(policyOf(reply)).toContain('sandbox');
  expect(reply.headers['x-content-type-options']).toBe('nosniff');
});

it.each([
  ['another protocol', 'EHLO example.org\r\n\r\n', 400],
  ['too large a head', `GET /health HTTP/1.1\r\nhost: x\r\nx-large: ${'y'.repeat(20_000)}\r\n\r\n`, 431],
])('the answer to %s is no page either', async (_, request, status) => {
  const { hostname, port } = new URL(fleet.gateway.url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
  socket.write(request);
  await once(socket, 'close');
  const [statusLine, ...lines] = (answer.split('\r\n\r\n')[0] ?? '').split('\r\n');
  expect(statusLine).toContain(`HTTP/1.1 ${status} `);
  expect(lines).toContain("content-security-policy: default-src 'none'; frame-ancestors 'none'; sandbox");
  expect(lines).toContain('x-content-type-options: nosniff');
  expect(lines).toContain('referrer-policy: no-referrer');
});

it.each([
  ['/health', 'GET', 200],
  ['/nowhere', 'GET', 404],
  ['/%', 'GET', 400],
  ['/api/jobs', 'PATCH', 405],
  ['/api/jobs/stream', 'POST', 200],
  ['/admin/events', 'GET', 200],
])('the answer of %s to %s carries the id of the request, once', async (path, method, status) => {
  const body = method === 'POST' ? JSON.stringify({ containers: ['echo'], data: {} }) : null;
  const headers = {
    authorization: `Bearer ${fleet.gateway.adminToken}`,
    'content-type': 'application/json',
    'x-request-id': 'mine',
  };
  // Not read to its end, as live events have none. Of two headers of one name both values would be here.
  const reply = await fetch(fleet.gateway.url + path, { method, headers, body });
  expect([reply.status, reply.headers.get('x-request-id')]).toEqual([status, 'mine']);
  await reply.body?.cancel();
});

it('what operators see is not cached', async () => {
  expect((await fleet.gateway.admin('GET', '/nodes')).headers['cache-control']).toBe('no-store');
});

it('the page of the API runs no script, loads nothing and cannot be framed', async () => {
  const reply = await fleet.gateway.send('/docs');
  expect(policyOf(reply)).toMatch(
    /^default-src 'none'; style-src 'sha256-[\w+/=]+'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
  );
});

it('everything under /admin is closed without the token', async () => {
  const { paths } = JSON.parse((await fleet.gateway.send('/openapi.json')).text) as {
    paths: Record<string, Record<string, { security: object[] }>>;
  };
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => [method.toUpperCase(), path] as const),
  );
  const admin = calls.filter(([, path]) => path.startsWith('/admin'));
  expect(admin.length).toBeGreaterThan(10);
  for (const [method, path] of admin) {
    const credentials: Record<string, string>[] = [
      {},
      { authorization: 'Bearer x' },
      { cookie: `token=${fleet.gateway.adminToken}` },
    ];
    for (const headers of credentials) {
      const url = path.replaceAll(/\{\w+\}/g, '019b0a00-7c1e-7a3b-9a51-2f6f0d4c1a10');
      const reply = await fleet.gateway.send(url, { method: method as 'GET', headers });
      expect(reply.status, `${method} ${path}`).toBe(401);
    }
  }
});
