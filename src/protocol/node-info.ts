import { z } from 'zod';

/** A container as a node's `/info` lists it; docs/protocol.md §1. */
export interface ContainerInfo {
  readonly id: string;
  /** Whether it may come first in a job. */
  readonly external: boolean;
  readonly image: string;
  readonly description: string;
}

/** Counts of unfinished work on a node, of all its clients. */
export interface PendingCounts {
  readonly offchain: number;
  readonly onchain: number;
}

/** What a node says of itself. */
export interface NodeInfo {
  readonly version: string;
  readonly chain: { readonly enabled: boolean; readonly address: string };
  readonly containers: readonly ContainerInfo[];
  readonly pending: PendingCounts;
}

const pendingSchema = z
  .object({ offchain: z.number().default(0), onchain: z.number().default(0) })
  .default({ offchain: 0, onchain: 0 });

const infoSchema = z
  .object({
    // 0.2.0 sends neither version nor chain; docs/protocol.md §7.
    version: z.string().default('0.2.0'),
    chain: z
      .object({ enabled: z.boolean().default(false), address: z.string().default('') })
      .default({ enabled: false, address: '' }),
    containers: z.array(
      z.object({
        // Such an id could not be stored; no container engine allows it.
        // oxlint-disable-next-line no-control-regex
        id: z.string().regex(/^[^\u0000]*$/, 'a container id without NUL expected'),
        external: z.boolean().default(true),
        image: z.string().default(''),
        description: z.string().default(''),
      }),
    ),
    pending: pendingSchema.optional(),
    // What openapi.yaml calls it, though no node was seen sending it.
    pending_jobs: pendingSchema.optional(),
  })
  .transform(({ pending, pending_jobs, ...info }): NodeInfo => {
    return { ...info, pending: pending ?? pending_jobs ?? { offchain: 0, onchain: 0 } };
  });

/**
 * Reads the body of a node's `GET /info`.
 * @throws Error that says what is wrong with it
 */
export function parseNodeInfo(text: string): NodeInfo {
  const parsed = infoSchema.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new Error(`unusable /info: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
}
