import { describe, expect, it } from 'vitest';
import { RateLimiter } from '../emulator/rate-limiter.js';
import { RateBudget, type RateHeaders } from './rate-budget.js';

/** Asks the emulated node's limiter, as often as the budget lets, over virtual time. */
function ask(
  limit: number,
  periodMs: number,
  forMs: number,
  latencyMs: number,
): { taken: number; refused: number } {
  const limiter = new RateLimiter({ limit, periodMs });
  const budget = new RateBudget();
  const replies: { at: number; headers: RateHeaders }[] = [];
  let taken = 0;
  let refused = 0;
  for (let now = 0; now < forMs; now += 1) {
    for (const reply of replies.filter(({ at }) => at <= now)) budget.replied('get_job', now, reply.headers);
    replies.splice(0, replies.length, ...replies.filter(({ at }) => at > now));
    // The first answer tells that there is a limit at all; a careful sender waits for it.
    if (taken === 1 && replies.length > 0) continue;
    if (budget.waitMs('get_job', now) > 0) continue;
    budget.sent('get_job', now);
    const verdict = limiter.take('get_job', 'gateway', now);
    if (verdict.allowed) taken += 1;
    else refused += 1;
    const header = (name: string): number => Number(verdict.headers.find(([key]) => key === name)?.[1]);
    replies.push({
      at: now + latencyMs,
      headers: {
        limit: header('ratelimit-limit'),
        remaining: header('ratelimit-remaining'),
        resetSeconds: header('ratelimit-reset'),
      },
    });
  }
  return { taken, refused };
}

describe('the rate budget', () => {
  it.each([
    [60, 60_000, 5],
    [60, 60_000, 300],
    [10, 10_000, 20],
    [600, 60_000, 5],
    [60, 3_600_000, 5],
    [100, 1_000, 3],
  ])(
    'earns no refusal from %d in %d ms at %d ms latency, and uses most of what is allowed',
    (limit, period, latency) => {
      const forMs = Math.min(period * 3, 200_000);
      const { taken, refused } = ask(limit, period, forMs, latency);
      expect(refused).toBe(0);
      const allowed = limit + (forMs / period) * limit;
      expect(taken).toBeGreaterThan(allowed * 0.8 - 8);
    },
  );

  it('does not slow down what is not limited', () => {
    const budget = new RateBudget();
    budget.sent('info', 0);
    budget.replied('info', 1, undefined);
    expect(budget.waitMs('info', 1)).toBe(0);
  });

  it('keeps the routes apart and pauses one for as long as a 429 asks', () => {
    const budget = new RateBudget();
    budget.limited('get_job', 1_000, 500);
    expect(budget.waitMs('get_job', 1_200)).toBe(300);
    expect(budget.waitMs('get_job', 1_500)).toBe(0);
    expect(budget.waitMs('create_job', 1_200)).toBe(0);
  });

  it('only pauses a route that was refused without a limit being told, as by a proxy', () => {
    const budget = new RateBudget();
    budget.sent('info', 0);
    budget.replied('info', 1_000, undefined);
    budget.limited('info', 1_000, 500);
    expect(budget.waitMs('info', 1_000)).toBe(500);
    for (let now = 1_500; now < 1_600; now += 1) {
      expect(budget.waitMs('info', now)).toBe(0);
      budget.sent('info', now);
      budget.replied('info', now, undefined);
    }
    expect(budget.view(1_600)).toEqual([]);
  });

  it('follows a limit that was changed', () => {
    const budget = new RateBudget();
    budget.replied('info', 0, { limit: 60, remaining: 59, resetSeconds: 0 });
    expect(budget.waitMs('info', 0)).toBe(0);
    budget.replied('info', 0, { limit: 10, remaining: 2, resetSeconds: 47 });
    expect(budget.waitMs('info', 0)).toBeGreaterThan(0);
  });
});
