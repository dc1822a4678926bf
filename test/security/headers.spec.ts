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
