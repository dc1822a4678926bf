import { expect, it } from 'vitest';
import { preferredWaitSeconds } from './prefer-wait.js';

it.each([
  [undefined, 0],
  ['', 0],
  ['wait=3', 3],
  ['respond-async, wait=2', 2],
  ['Wait = "1"; x=y, foo', 1],
  ['wait=99', 4],
  ['wait=', 0],
  ['wait=-1', 0],
  ['await=3', 0],
  ['wait=3s', 0],
])('Prefer: %s waits %d seconds of at most 4', (header, seconds) => {
  expect(preferredWaitSeconds(header, 4)).toBe(seconds);
});
