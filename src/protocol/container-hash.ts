import { keccak_256 as keccak256 } from '@noble/hashes/sha3.js';

const WORD_BYTES = 32;

/**
 * The hash by which a subscription names its containers: `keccak256(abi.encode("a,b"))`, docs/protocol.md §5.
 * @param ids in order of execution
 * @returns 64 hexadecimal digits in lower case, without `0x`
 */
export function containerHash(ids: readonly string[]): string {
  return Buffer.from(keccak256(abiEncodedString(ids.join(',')))).toString('hex');
}

/** The hash in the form that {@link containerHash} gives, or undefined if the text is no hash of 32 bytes. */
export function normalisedHash(text: string): string | undefined {
  return /^(?:0x)?([0-9a-f]{64})$/i.exec(text)?.[1]?.toLowerCase();
}

/** `abi.encode` of one string: where it starts, its length in bytes, and its bytes in whole words. */
function abiEncodedString(text: string): Buffer {
  const bytes = Buffer.from(text);
  const encoded = Buffer.alloc((2 + Math.ceil(bytes.length / WORD_BYTES)) * WORD_BYTES);
  encoded.writeUInt32BE(WORD_BYTES, WORD_BYTES - 4);
  encoded.writeUInt32BE(bytes.length, 2 * WORD_BYTES - 4);
  bytes.copy(encoded, 2 * WORD_BYTES);
  return encoded;
}
