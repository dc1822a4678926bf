import { describe, expect, it } from 'vitest';
import type { NodeInfo } from '../protocol/node-info.js';
import { Fleet } from './fleet.js';
import { nodeConfig } from './node.fixture.js';
import type { FleetNode, NodeConfig } from './node.js';

const config = (id: string, more: Partial<NodeConfig> = {}): NodeConfig => nodeConfig({ ...more, id });

/** Containers by name; one with a `!` is internal. */
const info = (names: string, more: Partial<NodeInfo> = {}): NodeInfo => ({
  version: '1.4.0',
  chain: { enabled: false, address: '' },
  containers: names.split(' ').map((name) => ({
    id: name.replace('!', ''),
    external: !name.endsWith('!'),
    image: 'i',
    description: 'd',
  })),
  pending: { offchain: 0, onchain: 0 },
  ...more,
});

function fleetOf(...infos: NodeInfo[]): Fleet {
  const fleet = new Fleet();
  for (const [index, each] of infos.entries()) fleet.put(config(`n${index}`), each);
  return fleet;
}

describe('refusalFor', () => {
  const fleet = fleetOf(info('a b c!'), info('a b d e'), info('c x'));
  const notSupported = (container: string) => ({ error: 'Container not supported', params: { container } });
  it.each([
    [['a'], undefined],
    [['a', 'b', 'c'], undefined],
    [['c', 'x'], undefined],
    [[], { error: 'No containers specified', params: {} }],
    [['nope'], notSupported('nope')],
    [['a', 'nope', 'neither'], notSupported('nope')],
    [['a', 'b', 'd', 'c'], notSupported('c')],
    [['a', 'x'], notSupported('x')],
    [['c', 'a'], { error: 'First container must be external', params: { first_container: 'c' } }],
  ])('%j', (containers, refusal) => {
    expect(fleet.refusalFor(containers)).toEqual(refusal);
  });

  it('names the first container when there are no nodes', () => {
    expect(new Fleet().refusalFor(['a', 'b'])).toEqual(notSupported('a'));
  });

  it('does not mind that a node is down or draining', () => {
    const sleeping = new Fleet();
    sleeping.put(config('n', { state: 'draining' }), info('a'));
    expect(sleeping.refusalFor(['a'])).toBeUndefined();
    sleeping.put(config('n', { state: 'removed' }));
    expect(sleeping.refusalFor(['a'])).toEqual(notSupported('a'));
  });
});

describe('mergedInfo', () => {
  it('lists each container once, by name, external if any is', () => {
    const { containers, version } = fleetOf(info('b! a'), info('c b')).mergedInfo(0);
    expect(containers.map(({ id, external }) => [id, external])).toEqual([
      ['a', true],
      ['b', true],
      ['c', true],
    ]);
    expect(version).toBe('1.4.0');
  });

  it('sums what is pending, with what waits in the gateway', () => {
    const fleet = fleetOf(
      info('a', { pending: { offchain: 2, onchain: 1 } }),
      info('a', { pending: { offchain: 3, onchain: 4 } }),
    );
    for (const node of fleet.nodes) node.health = 'up';
    expect(fleet.mergedInfo(10).pending).toEqual({ offchain: 15, onchain: 5 });
    // What a node that is down said last is no news.
    (fleet.nodes[0] as FleetNode).health = 'down';
    expect(fleet.mergedInfo(10).pending).toEqual({ offchain: 13, onchain: 4 });
  });

  it("has the first enabled node's chain", () => {
    const chain = { enabled: true, address: '0x1' };
    const fleet = fleetOf(
      info('a'),
      info('a', { chain }),
      info('a', { chain: { enabled: true, address: '0x2' } }),
    );
    expect(fleet.mergedInfo(0).chain).toEqual(chain);
    expect(fleetOf(info('a')).mergedInfo(0).chain).toEqual({ enabled: false, address: '' });
  });

  it('says something without nodes', () => {
    const fleet = new Fleet();
    fleet.put(config('never seen'));
    expect(fleet.mergedInfo(0)).toMatchObject({ containers: [], pending: { offchain: 0, onchain: 0 } });
  });
});

describe('put', () => {
  it('tells of joining, changing and leaving', () => {
    const fleet = new Fleet();
    const told: string[] = [];
    for (const name of ['joined', 'changed', 'left'] as const) {
      fleet.on(name, (node) => told.push(`${name} ${node.config.name}`));
    }
    fleet.put(config('n'));
    fleet.put(config('n', { name: 'renamed' }));
    fleet.put(config('n', { name: 'gone', state: 'removed' }));
    fleet.put(config('n', { state: 'removed' }));
    expect(told).toEqual(['joined n', 'changed renamed', 'left gone']);
    expect(fleet.nodes).toEqual([]);
  });
});
