import { describe, expect, it } from 'vitest';
import { featuresOf, lacksChain, parseChain, parseNodeInfo } from './node-info.js';

const NO_CHAIN = { enabled: false, address: '' };
const CHAIN = { enabled: true, address: '0xabc' };
const OF_0_2_0 = '{"containers":[{"id":"a"}],"pending":{"offchain":2,"onchain":1}}';

describe('parseNodeInfo', () => {
  it('reads what 0.2.0 sends, which tells no version', () => {
    expect(parseNodeInfo(OF_0_2_0)).toEqual({
      version: '0.2.0',
      chain: NO_CHAIN,
      containers: [{ id: 'a', external: true, image: '', description: '' }],
      pending: { offchain: 2, onchain: 1 },
    });
    expect(lacksChain(OF_0_2_0)).toBe(true);
  });

  it('does not ask a newer node for its chain', () => {
    expect(lacksChain('{"version":"1.0.0","containers":[]}')).toBe(false);
    expect(lacksChain('{"chain":{"enabled":false,"address":""},"containers":[]}')).toBe(false);
  });

  it('names what is wrong', () => {
    expect(() => parseNodeInfo('{"containers":[{}]}')).toThrow('unusable /info: containers.0.id');
    expect(() => parseNodeInfo('[]')).toThrow('unusable /info');
  });
});

it('parseChain reads the two replies of 0.2.0', () => {
  expect(parseChain('{"enabled":true}', '{"address":"0xabc"}')).toEqual(CHAIN);
  expect(() => parseChain('{}', '{"address":"0xabc"}')).toThrow('enabled');
});

describe('featuresOf', () => {
  it.each([
    ['0.2.0', NO_CHAIN, ''],
    ['0.2.0', CHAIN, 'old-delegation'],
    ['1.0.0', NO_CHAIN, 'proof stream'],
    ['1.0.0', CHAIN, 'delegation proof stream'],
    ['1.3.1', CHAIN, 'delegation proof stream'],
    ['1.4.0', NO_CHAIN, 'proof resources stream'],
    ['v1.10', NO_CHAIN, 'proof resources stream'],
    ['2.0.0-rc.1', CHAIN, 'delegation proof resources stream'],
    ['dev', CHAIN, 'delegation proof resources stream'],
  ])('%s with chain %o: %s', (version, chain, features) => {
    expect([...featuresOf({ version, chain })].sort().join(' ')).toBe(features);
  });
});
