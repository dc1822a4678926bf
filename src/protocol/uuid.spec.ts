import { afterEach, expect, it, vi } from 'vitest';
import { uuidv7 } from './uuid.js';

afterEach(() => {
  vi.useRealTimers();
});

it('is a version 7 of the standard variant that begins with the time in ms', () => {
  const before = Date.now();
  const id = uuidv7();
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const ms = Number.parseInt(id.slice(0, 13).replace('-', ''), 16);
  expect(ms).toBeGreaterThanOrEqual(before);
  expect(ms).toBeLessThanOrEqual(Date.now());
});

it('grows with each call, within a millisecond and when the clock is set back', () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const ids: string[] = [];
  for (const step of [0, 1, 1, -1_000, 0, 5_000]) {
    vi.setSystemTime(Date.now() + step);
    for (let n = 0; n < 5_000; n += 1) ids.push(uuidv7());
  }
  expect(ids.toSorted()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
});

it('begins each millisecond elsewhere', () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const counters = Array.from({ length: 50 }, () => {
    vi.setSystemTime(Date.now() + 1_000);
    return uuidv7().slice(14, 23);
  });
  expect(new Set(counters).size).toBeGreaterThan(45);
});
