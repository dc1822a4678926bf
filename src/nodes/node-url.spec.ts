import { expect, it } from 'vitest';
import { GatewayError } from '../errors.js';
import { normaliseNodeUrl } from './node-url.js';

it.each([
  ['http://a:4000', 'http://a:4000'],
  ['a:4000', 'http://a:4000'],
  ['a', 'http://a'],
  ['HTTP://Node.Example:80/', 'http://node.example'],
  ['https://a:443/prefix/', 'https://a/prefix'],
  ['https://a:4000/x/y///', 'https://a:4000/x/y'],
  ['http://[::1]:4000/', 'http://[::1]:4000'],
  ['127.0.0.1:4000', 'http://127.0.0.1:4000'],
  ['http://127.1', 'http://127.0.0.1'],
])('%s is %s', (text, url) => {
  expect(normaliseNodeUrl(text)).toBe(url);
  expect(normaliseNodeUrl(url)).toBe(url);
});

it.each([
  '',
  'http://',
  'http://a b',
  'http://a:99999',
  'ftp://a',
  'redis://a',
  'http://user:word@a',
  'user:word@a:4000',
  'http://a/?x=1',
  'http://a/#x',
])('"%s" is refused', (text) => {
  const attempt = (): unknown => normaliseNodeUrl(text);
  expect(attempt).toThrow(GatewayError);
  expect(attempt).toThrow(expect.objectContaining({ code: 'MALFORMED_REQUEST', params: { field: 'url' } }));
  expect(attempt).not.toThrow('word');
});
