import { expect, it } from 'vitest';
import { Routes } from './routes.js';

it('knows the methods of a path, parameters and the rest of a path included', () => {
  const routes = new Routes();
  routes.add(['GET', 'HEAD'], '/admin/nodes/:id');
  routes.add(['DELETE'], '/admin/nodes/:id');
  routes.add(['GET'], '/openapi.json');
  routes.add(['GET'], '/files/*');
  expect(routes.methodsOf('/admin/nodes/x?force=true')).toEqual(['DELETE', 'GET', 'HEAD']);
  expect(routes.methodsOf('/admin/nodes/x/y')).toEqual([]);
  expect(routes.methodsOf('/admin/nodes/')).toEqual([]);
  expect(routes.methodsOf('/openapi.json')).toEqual(['GET']);
  expect(routes.methodsOf('/openapiXjson')).toEqual([]);
  expect(routes.methodsOf('/files/a/b.js')).toEqual(['GET']);
});
