import { expect, it } from 'vitest';
import { firstPauseMs, nextPauseMs } from './poll-schedule.js';

it('asks soon about a young job and seldom about an old one', () => {
  expect(firstPauseMs(undefined)).toBeLessThanOrEqual(50);
  let last = 0;
  for (const ageMs of [0, 10, 100, 1_000, 10_000, 100_000, 10_000_000]) {
    const pauseMs = nextPauseMs(ageMs, false);
    expect(pauseMs).toBeGreaterThanOrEqual(last);
    last = pauseMs;
  }
  expect(last).toBe(5_000);
});

it('first asks when about half of the usual time has passed', () => {
  expect(firstPauseMs(300)).toBe(150);
  expect(firstPauseMs(3_600_000)).toBe(250);
});

it('finds a result late by no more than a fifth of the job', () => {
  for (const ageMs of [200, 1_000, 7_000, 20_000])
    expect(nextPauseMs(ageMs, false)).toBeLessThanOrEqual(ageMs / 5);
});

it('asks often about a job that a caller waits for, whatever its age', () => {
  for (const ageMs of [0, 1_000, 1_000_000]) {
    expect(nextPauseMs(ageMs, true)).toBeLessThanOrEqual(50);
    expect(nextPauseMs(ageMs, true)).toBeGreaterThan(0);
  }
});
