import type { NodeState } from './node-state.js';

/** What somebody who sends a job to a node himself, past the gateway, may expect there. Times in ms. */
export interface Prospect {
  readonly nodeId: string;
  /** Unfinished jobs there, of the gateway and of others; for a node of another replica only what it was told. */
  readonly load: number;
  /** Undefined while jobs of this kind have not shown it. */
  readonly serviceMs: number | undefined;
  readonly slots: number | undefined;
  /** Jobs have failed there lately, or nothing ends there. */
  readonly isDoubtful: boolean;
}

/**
 * Read from what is known; asking about containers that nobody ever ran leaves nothing behind.
 * @param keys kinds (`kindKey`) to look for, the best first
 */
export function prospectsOf(nodes: Iterable<NodeState>, keys: readonly string[]): Prospect[] {
  return [...nodes].map((node) => {
    const key = keys.find((one) => node.pairs.get(one)?.kind.work.known === true);
    const pair = key === undefined ? undefined : node.pairs.get(key);
    return {
      nodeId: node.view.id,
      load: node.outstanding + node.foreign,
      serviceMs: pair?.serviceMs,
      slots: pair?.slots,
      isDoubtful: pair?.isDoubtful ?? node.breaker.isEjected(),
    };
  });
}
