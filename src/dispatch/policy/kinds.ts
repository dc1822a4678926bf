import { Kind, kindKey } from './kind.js';
import type { NodeState } from './node-state.js';
import type { Pair, SavedPair } from './pair.js';
import type { SavedWork } from './service-times.js';

/** What is kept of a node, over restarts and for other replicas, as JSON: by kind, what is known of its work and of the node. */
export interface SavedLane {
  readonly version: 1;
  readonly kinds: readonly {
    readonly containers: readonly string[];
    readonly work: SavedWork;
    readonly pair: SavedPair;
  }[];
}

/** Pairs of node and kind that are remembered; callers can make up any number of chains. */
const MAX_PAIRS = 100_000;
/** Of a node, the kinds that ran there last are kept. */
const KEPT_KINDS = 100;

/** All kinds of jobs that are known, and with them all that was learned. */
export class Kinds {
  private readonly kinds = new Map<string, Kind>();

  constructor(private readonly nodes: ReadonlyMap<string, NodeState>) {}

  get(key: string): Kind | undefined {
    return this.kinds.get(key);
  }

  of(containers: readonly string[]): Kind {
    const key = kindKey(containers);
    let kind = this.kinds.get(key);
    if (kind === undefined) {
      if (this.kinds.size * this.nodes.size >= MAX_PAIRS) this.dropIdle();
      kind = new Kind(key, containers);
      this.kinds.set(key, kind);
    }
    return kind;
  }

  /** Something changed that may concern all kinds. */
  expire(): void {
    for (const kind of this.kinds.values()) kind.expire();
  }

  /** What was learned of a node's pairs. */
  export(pairs: Iterable<Pair>): SavedLane {
    const known = [...pairs].filter(({ kind }) => kind.work.known);
    known.sort((a, b) => b.lastEndedMs - a.lastEndedMs);
    const kinds = known.slice(0, KEPT_KINDS).map((pair) => ({
      containers: pair.kind.containers,
      work: pair.kind.work.save(),
      pair: pair.save(),
    }));
    return { version: 1, kinds };
  }

  /** Takes over what was learned of a node; what is known of the work of a kind already stays. */
  restore(node: NodeState, saved: SavedLane, nowMs: number): Pair[] {
    if (saved.version !== 1) return [];
    return saved.kinds.map(({ containers, work, pair: learned }) => {
      const kind = this.of(containers);
      if (!kind.work.known) kind.work.restore(work);
      const pair = kind.pairOn(node, nowMs);
      pair.restore(learned, nowMs);
      kind.expire();
      return pair;
    });
  }

  private dropIdle(): void {
    for (const [key, kind] of this.kinds) {
      if (kind.held > 0 || kind.isBusy()) continue;
      this.kinds.delete(key);
      for (const { pairs } of this.nodes.values()) pairs.delete(key);
    }
  }
}
