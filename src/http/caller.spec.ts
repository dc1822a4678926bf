import { expect, it } from 'vitest';
import { callerOf } from './caller.js';

it.each([
  ['127.0.0.1', 'loopback'],
  ['127.8.9.10', 'loopback'],
  ['::1', 'loopback'],
  ['::ffff:127.0.0.1', 'loopback'],
  ['::FFFF:10.1.2.3', '10.1.2.3'],
  ['10.1.2.3', '10.1.2.3'],
  ['2001:DB8::1', '2001:db8::1'],
  ['not-an-address', 'not-an-address'],
])('the caller behind %s is %s', (address, caller) => {
  expect(callerOf(address)).toBe(caller);
});
