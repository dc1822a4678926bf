import { describe, expect, it } from 'vitest';
import { nodesOf, UsageError } from './command-line.js';
import { COORDINATOR } from './options.js';
import { serviceTimes } from './service-time.js';

describe('nodesOf', () => {
  it('numbers ports and names', () => {
    expect(nodesOf(['--port', '5000', '--count', '2', '--name', 'a', '--slots', '4'])).toMatchObject([
      { port: 5000, name: 'a-1', slots: 4 },
      { port: 5001, name: 'a-2', slots: 4 },
    ]);
  });

  it('reads rate limits and service times', () => {
    expect(nodesOf(['--rate-limit', '10/2', '--service-ms', 'exp:50'])).toMatchObject([
      { port: 4101, rateLimit: { limit: 10, periodMs: 2000 }, serviceMs: { meanMs: 50, seed: 1 } },
    ]);
    expect(nodesOf(['--rate-limit', 'off'])).toMatchObject([{ rateLimit: false }]);
    expect(nodesOf([])).toMatchObject([{ rateLimit: undefined }]);
  });

  it('reads what subscriptions are signed for', () => {
    const chain = { chainAddress: '0xabc', chainId: 5, coordinator: COORDINATOR };
    const args = ['--chain', '0xabc', '--chain-id', '5', '--coordinator', COORDINATOR];
    expect(nodesOf(args)).toMatchObject([chain]);
  });

  it.each([
    ['--coordinator', '0x12'],
    ['--prot', '1'],
    ['--slots', '0'],
    ['--count', 'x'],
    ['--containers', 'nope'],
    ['--rate-limit', '1'],
    ['--api-version', '0.3.0'],
  ])('refuses %s %s', (...args) => {
    expect(() => nodesOf(args)).toThrow(UsageError);
  });

  it('reads the version to behave like', () => {
    expect(nodesOf(['--api-version', '0.2.0', '--chain', '0xabc'])).toMatchObject([
      { apiVersion: '0.2.0', version: undefined, chainAddress: '0xabc' },
    ]);
  });

  it('knows help', () => {
    expect(nodesOf(['--help'])).toBe('help');
  });
});

describe('serviceTimes', () => {
  it('draws repeatable exponential times of the given mean', () => {
    const draw = (seed: number) => {
      const next = serviceTimes({ meanMs: 100, seed });
      return Array.from({ length: 20_000 }, next);
    };
    const times = draw(7);
    expect(draw(7)).toEqual(times);
    expect(draw(8)).not.toEqual(times);
    const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
    expect(mean).toBeGreaterThan(97);
    expect(mean).toBeLessThan(103);
  });
});
