import { createHash } from 'node:crypto';

/** What the emulated language model says to every prompt. */
export const CANNED_COMPLETION =
  'To make pizza, mix flour, water, yeast and salt, knead the dough for ten minutes and let it rise for an hour. ' +
  'Roll it out, spread crushed tomatoes on it, add mozzarella and a few leaves of basil, and bake it at the ' +
  'highest heat your oven has until the rim is brown.';

const EMBEDDING_DIMENSIONS = 1536;

/** An array of 1,536 floats between -1 and 1 as JSON; equal inputs give equal embeddings. */
export function cannedEmbedding(data: Buffer): Buffer {
  const stream = createHash('shake256', { outputLength: EMBEDDING_DIMENSIONS * 4 })
    .update(data)
    .digest();
  const floats = Array.from(
    { length: EMBEDDING_DIMENSIONS },
    (_, index) => stream.readInt32LE(index * 4) / 2 ** 31,
  );
  return Buffer.from(JSON.stringify(floats));
}
