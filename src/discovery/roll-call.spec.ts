import { expect, it } from 'vitest';
import type { NodeConfig } from '../nodes/node.js';
import { rollCall, type ListedSource } from './roll-call.js';

function node(url: string, source: NodeConfig['source'], more: Partial<NodeConfig> = {}): NodeConfig {
  return {
    id: url,
    url,
    name: url,
    weight: 1,
    maxInFlight: null,
    labels: {},
    headers: {},
    state: 'active',
    approved: true,
    leftFrom: null,
    source,
    createdAt: new Date(0),
    ...more,
  };
}

const lists = (given: Partial<Record<ListedSource, string[]>>) =>
  new Map(Object.entries(given) as [ListedSource, string[]][]);

it('what is listed and not registered is missing, under the first source that lists it', () => {
  const { missing } = rollCall(lists({ file: ['a', 'b'], explorer: ['b', 'c', 'd'] }), [node('d', 'admin')]);
  expect(missing).toEqual([
    { url: 'a', source: 'file' },
    { url: 'b', source: 'file' },
    { url: 'c', source: 'explorer' },
  ]);
});

it('only nodes of the given sources leave, and each once', () => {
  const registered = [
    node('hand', 'admin'),
    node('env', 'env'),
    node('gone', 'file'),
    node('gone before', 'file', { state: 'removing', leftFrom: 'active' }),
    node('unknown', 'explorer'),
    node('here', 'file'),
  ];
  expect(rollCall(lists({ file: ['here'] }), registered)).toEqual({
    missing: [],
    left: [registered[2]],
    back: [],
    moved: [],
  });
});

it('one whose own source says nothing moves to a more important one, and to no other', () => {
  const registered = [
    node('a', 'explorer', { approved: false }),
    node('b', 'explorer', { state: 'removing', leftFrom: 'active' }),
    node('c', 'env'),
    node('d', 'file'),
  ];
  expect(rollCall(lists({ file: ['a', 'b', 'c'] }), registered.slice(0, 3))).toEqual({
    missing: [],
    left: [],
    back: [{ node: registered[1], source: 'file' }],
    moved: [{ node: registered[0], source: 'file' }],
  });
  expect(rollCall(lists({ explorer: ['c', 'd'] }), registered.slice(2))).toEqual({
    missing: [],
    left: [],
    back: [],
    moved: [],
  });
});

it('one that is listed again comes back; one that another source lists moves there', () => {
  const registered = [
    node('back', 'file', { state: 'removing', leftFrom: 'draining' }),
    node('moves', 'file'),
    node('stays', 'file'),
  ];
  expect(rollCall(lists({ file: ['back', 'stays'], explorer: ['moves', 'stays'] }), registered)).toEqual({
    missing: [],
    left: [],
    back: [{ node: registered[0], source: 'file' }],
    moved: [{ node: registered[1], source: 'explorer' }],
  });
});
