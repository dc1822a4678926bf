import { expect, it } from 'vitest';
import { requestIdOf } from './request-id.js';

it.each([
  'abc',
  '0192f0c1-7b5e-7000-8000-000000000000',
  'Root=1-67891233-abcdef012345678912345678',
  'a'.repeat(128),
])('takes %s over', (given) => {
  expect(requestIdOf(given)).toBe(given);
});

it.each([undefined, '', 'a b', 'a\nb', '"', 'a'.repeat(129), ['a', 'b']])(
  'makes a new one in place of %j',
  (given) => {
    expect(requestIdOf(given)).toMatch(/^[0-9a-f-]{36}$/);
  },
);
