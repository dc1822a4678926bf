import { z } from 'zod';

/** A container as a node's `/info` lists it; docs/protocol.md §1. */
export const containerSchema = z
  .object({
    id: z.string(),
    external: z.boolean().describe('Whether it may come first in a job.'),
    image: z.string(),
    description: z.string(),
  })
  .meta({ id: 'Container' });
export type ContainerInfo = Readonly<z.output<typeof containerSchema>>;

/** For examples. */
export const aContainer = { id: 'echo', external: true, image: 'example/echo:1.0.0', description: 'Echoes' };

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

/**
 * What not every version of a node can do (docs/protocol.md §7); everything else all of them do.
 *
 * - `proof`: `requires_proof` is heeded; before 1.0.0 it was taken for an unknown member and ignored
 * - `stream`: `POST /api/jobs/stream`, since 1.0.0
 * - `resources`: `GET /resources`, since 1.4.0
 * - `delegation`: delegated subscriptions as the current client sends them; since 1.0.0, with a chain
 * - `old-delegation`: those of the older form, with containers in plain text; before 1.0.0, with a chain
 */
export const NODE_FEATURES = ['proof', 'stream', 'resources', 'delegation', 'old-delegation'] as const;
export type NodeFeature = (typeof NODE_FEATURES)[number];

/** What a node that says `version` and `chain` in `/info` can do; a version that is none counts as the newest. */
export function featuresOf({
  version,
  chain,
}: Pick<NodeInfo, 'version' | 'chain'>): ReadonlySet<NodeFeature> {
  const features = new Set<NodeFeature>();
  const isSince = (major: number, minor: number): boolean => !isBefore(version, major, minor);
  if (isSince(1, 0)) features.add('proof').add('stream');
  if (isSince(1, 4)) features.add('resources');
  if (chain.enabled) features.add(isSince(1, 0) ? 'delegation' : 'old-delegation');
  return features;
}

function isBefore(version: string, major: number, minor: number): boolean {
  const [, givenMajor, givenMinor] = /^v?(\d+)\.(\d+)/.exec(version) ?? [];
  if (givenMajor === undefined) return false;
  return Number(givenMajor) < major || (Number(givenMajor) === major && Number(givenMinor) < minor);
}

const pendingSchema = z
  .object({ offchain: z.number().default(0), onchain: z.number().default(0) })
  .default({ offchain: 0, onchain: 0 });

/** The only published version whose `/info` does not tell it. */
const VERSION_BEFORE_VERSIONS = '0.2.0';

const infoSchema = z
  .object({
    // 0.2.0 sends neither version nor chain; docs/protocol.md §7.
    version: z.string().default(VERSION_BEFORE_VERSIONS),
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

/** Whether the node has to be asked for its chain: `/info` did not tell it. */
export function lacksChain(text: string): boolean {
  const info: unknown = JSON.parse(text);
  return typeof info === 'object' && info !== null && !('chain' in info) && !('version' in info);
}

const chainStatusSchema = z.object({ enabled: z.boolean() });
const chainAddressSchema = z.object({ address: z.string() });

/**
 * Reads the bodies of a 0.2.0 node's `GET /api/chain/enabled` and `GET /api/chain/address`.
 * @throws Error if they are something else
 */
export function parseChain(enabled: string, address: string): NodeInfo['chain'] {
  return {
    ...chainStatusSchema.parse(JSON.parse(enabled)),
    ...chainAddressSchema.parse(JSON.parse(address)),
  };
}
