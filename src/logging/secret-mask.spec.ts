import { expect, it } from 'vitest';
import { SecretMask } from './secret-mask.js';

it('masks values wherever they stand, also as JSON writes them', () => {
  const mask = new SecretMask();
  mask.add(
    'correct "horse" (battery)',
    'Bearer abcdefgh12345',
    undefined,
    'correct "horse" (battery) staple',
  );
  const line = JSON.stringify({
    a: 'x correct "horse" (battery) y',
    b: ['abcdefgh12345'],
    c: 'correct "horse" (battery) staple',
  });
  expect(mask.apply(line)).toBe('{"a":"x [masked] y","b":["[masked]"],"c":"[masked]"}');
});

it('leaves short values alone: they are ordinary words', () => {
  const mask = new SecretMask();
  mask.add('1', 'tenant');
  expect(mask.apply('{"level":30,"tenant":1}')).toBe('{"level":30,"tenant":1}');
});

it('masks the passwords of URLs, known or not', () => {
  const mask = new SecretMask();
  mask.addPasswordOf('postgresql://me:p%40ssw0rd!@db/gateway');
  expect(mask.apply('to postgresql://me:p%40ssw0rd!@db/gateway: p@ssw0rd! is wrong')).toBe(
    'to postgresql://[masked]@db/gateway: [masked] is wrong',
  );
  expect(mask.apply('at http://user:x@10.0.0.1:4000/a@b')).toBe('at http://[masked]@10.0.0.1:4000/a@b');
  expect(mask.apply('at http://10.0.0.1:4000/a')).toBe('at http://10.0.0.1:4000/a');
});
