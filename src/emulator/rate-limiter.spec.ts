import { describe, expect, it } from 'vitest';
import { request } from 'undici';
import { EmulatedNode } from './emulated-node.js';
import { RateLimiter } from './rate-limiter.js';

describe('RateLimiter', () => {
  it('allows a burst, then one request an interval', () => {
    const limiter = new RateLimiter({ limit: 60, periodMs: 60_000 });
    const burst = Array.from({ length: 60 }, () => limiter.take('info', 'a', 0));
    expect(burst.every(({ allowed }) => allowed)).toBe(true);
    expect(Object.fromEntries(burst[0]?.headers ?? [])).toEqual({
      'ratelimit-limit': '60',
      'ratelimit-remaining': '59',
      'ratelimit-reset': '1',
    });
    expect(limiter.take('info', 'a', 999)).toMatchObject({ allowed: false, retryAfterSeconds: 0 });
    expect(limiter.take('info', 'a', 1000).allowed).toBe(true);
    expect(limiter.take('info', 'a', 1000).allowed).toBe(false);
  });

  it('keeps one bucket for each endpoint and caller', () => {
    const limiter = new RateLimiter({ limit: 1, periodMs: 1000 });
    expect(limiter.take('info', 'a', 0).allowed).toBe(true);
    expect(limiter.take('info', 'b', 0).allowed).toBe(true);
    expect(limiter.take('health', 'a', 0).allowed).toBe(true);
    expect(limiter.take('info', 'a', 0).allowed).toBe(false);
  });
});

describe('a rate-limited node', () => {
  it('answers 429 in HTML, keyed by the first forwarded address', async () => {
    const node = await EmulatedNode.start({ rateLimit: { limit: 1, periodMs: 60_000 } });
    const health = (forwarded?: string) =>
      request(`${node.url}/health`, {
        reset: true,
        headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
      });
    expect((await health()).statusCode).toBe(200);
    const refused = await health();
    expect(refused.statusCode).toBe(429);
    expect(refused.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'retry-after': expect.arrayContaining([expect.stringMatching(/^5\d|60$/)]) as string[],
      'ratelimit-remaining': '0',
    });
    expect((await health('1.2.3.4, 5.6.7.8')).statusCode).toBe(200);
    expect((await health('1.2.3.4')).statusCode).toBe(429);
    expect((await health('')).statusCode).toBe(500);
    await node.stop();
  });
});
