import { encodeAbiParameters, keccak256 } from 'viem';
import { describe, expect, it } from 'vitest';
import { containerHash, normalisedHash } from './container-hash.js';

describe('the hash of containers', () => {
  it.each([
    [['echo']],
    [['step-one', 'step-two']],
    [['step-two', 'step-one']],
    [['a'.repeat(31)]],
    [['a'.repeat(32)]],
    [['a'.repeat(300), 'b']],
    [['é🍕']],
    [['']],
  ])('of %j is what viem makes of it', (ids) => {
    const expected = keccak256(encodeAbiParameters([{ type: 'string' }], [ids.join(',')]));
    expect(`0x${containerHash(ids)}`).toBe(expected);
  });

  it('may be written with or without 0x, in either case', () => {
    const hash = containerHash(['echo']);
    for (const text of [hash, `0x${hash}`, `0x${hash.toUpperCase()}`, hash.toUpperCase()]) {
      expect(normalisedHash(text)).toBe(hash);
    }
  });

  it.each([['echo'], [''], ['0x'], ['0x12'], [`0x${'0'.repeat(65)}`], [`0x0x${'0'.repeat(64)}`]])(
    'is not %j',
    (text) => {
      expect(normalisedHash(text)).toBeUndefined();
    },
  );
});
