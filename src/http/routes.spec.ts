import { expect, it } from 'vitest';
import { Routes } from './routes.js';

const routes = new Routes();
routes.add(['GET', 'HEAD'], '/admin/jobs/:id');
routes.add(['DELETE'], '/admin/jobs/:id');
routes.add(['POST'], '/admin/jobs/retry');
routes.add(['GET'], '/openapi.json');
routes.add(['GET'], '/files/*');

it.each([
  ['PUT', '/admin/jobs/x?force=true', 'DELETE GET HEAD'],
  ['PUT', '/admin/jobs/x/y', undefined],
  ['PUT', '/admin/jobs/', undefined],
  ['POST', '/openapi.json', 'GET'],
  ['POST', '/openapiXjson', undefined],
  ['POST', '/files/a/b.js', 'GET'],
])('%s %s: %s', (method, url, instead) => {
  expect(routes.insteadOf(method, url, false)?.join(' ')).toBe(instead);
});

it('a path without parameters goes before one with', () => {
  expect(routes.insteadOf('GET', '/admin/jobs/retry', true)).toEqual(['POST']);
  expect(routes.insteadOf('POST', '/admin/jobs/retry', true)).toBeUndefined();
  expect(routes.insteadOf('GET', '/admin/jobs/x', true)).toBeUndefined();
});
