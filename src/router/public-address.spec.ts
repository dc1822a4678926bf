import { expect, it } from 'vitest';
import { publicAddress } from './public-address.js';

it.each([
  ['http://10.0.0.5:4000', {}, '10.0.0.5:4000'],
  ['http://node.example', {}, 'node.example:80'],
  ['http://[::1]:4000', {}, '[::1]:4000'],
  ['https://node.example', {}, undefined],
  ['http://node.example/prefix', {}, undefined],
  ['http://10.0.0.5:4000', { authorization: 'Bearer secret' }, undefined],
])('%s with headers %o: %s', (url, headers, address) => {
  expect(publicAddress({ url, headers })).toBe(address);
});
