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
  ['2001:0DB8:0:0::0:1', '2001:db8::1'],
  ['fe80::1%eth0', 'fe80::1%eth0'],
  ['10.1.2.3:5678', '10.1.2.3'],
  ['[2001:db8::1]:5678', '2001:db8::1'],
  ['[::1]', 'loopback'],
])('the caller behind %s is %s', (address, caller) => {
  expect(callerOf(address)).toBe(caller);
});

it.each([
  '',
  'unknown',
  '_hidden',
  '10.1.2.3.4',
  '10.1.2',
  "'; --",
  'x'.repeat(10_000),
  '[10.1.2',
  '::ffff:1.2.3',
])('%j is nobody', (address) => {
  expect(() => callerOf(address)).toThrow('does not hold an IP address');
});
