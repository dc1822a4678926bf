import { expect, it } from 'vitest';
import { arranged, statusOf, tightestBudget } from './node-order.js';
import type { NodeRow } from './shapes.js';

const node = (name: string, more: Partial<NodeRow> = {}): NodeRow => ({
  id: name,
  url: `http://${name}:4000`,
  name,
  state: 'active',
  source: 'admin',
  approved: true,
  weight: 1,
  maxInFlight: null,
  health: 'up',
  lastError: null,
  inFlight: 0,
  foreign: 0,
  slots: 2,
  starting: false,
  speed: 1,
  serviceMs: 100,
  budget: {},
  containers: ['echo'],
  ...more,
});

const NODES = [
  node('n10', { inFlight: 4, containers: ['llama'] }),
  node('n9', { health: 'down' }),
  node('n1', { inFlight: 1, state: 'draining' }),
];

const order = (key: 'name' | 'load' | 'status', isDescending = false, text = ''): string[] =>
  arranged(NODES, text, { key, isDescending }).map(({ name }) => name);

it('sorts by name as people count, by load, and by how bad it is', () => {
  expect(order('name')).toEqual(['n1', 'n9', 'n10']);
  expect(order('load', true)).toEqual(['n10', 'n1', 'n9']);
  expect(order('status')).toEqual(['n9', 'n1', 'n10']);
});

it('finds nodes by name, address, container and status', () => {
  expect(order('name', false, 'LLAMA')).toEqual(['n10']);
  expect(order('name', false, 'http://n1')).toEqual(['n1', 'n10']);
  expect(order('name', false, ' down ')).toEqual(['n9']);
});

it('a node is what its operator decided', () => {
  expect(statusOf(node('a', { state: 'draining', health: 'down' }))).toBe('draining');
  expect(statusOf(node('a', { approved: false }))).toBe('waits for approval');
});

it('the tightest budget is the one of which least is left', () => {
  const budget = { info: { limit: 60, left: 50, waitMs: 0 }, get_job: { limit: 60, left: 3, waitMs: 10 } };
  expect(tightestBudget(node('a', { budget }))?.route).toBe('get_job');
  expect(tightestBudget(node('a'))).toBeUndefined();
});
