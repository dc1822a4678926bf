/** Byte strings in one parameter: `substring(all FROM offset FOR length)` is each of them, and null where length is. */
export interface PackedBytes {
  readonly all: Buffer;
  /** Counted from 1, as SQL does. */
  readonly offsets: number[];
  readonly lengths: (number | null)[];
}

/**
 * Packs the byte strings of a group of rows. Prisma's adapter encodes an array of byte strings several times slower
 * than one of the same size; docs/decisions/0005-group-commit.md has the figures.
 */
export function packBytes(parts: readonly (Uint8Array | null)[]): PackedBytes {
  const offsets: number[] = [];
  let offset = 1;
  for (const part of parts) {
    offsets.push(offset);
    offset += part?.length ?? 0;
  }
  return {
    all: Buffer.concat(parts.filter((part) => part !== null)),
    offsets,
    lengths: parts.map((part) => part?.length ?? null),
  };
}
