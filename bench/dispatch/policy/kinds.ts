import { Kind, kindKey } from './kind.js';
import type { NodeState } from './node-state.js';
import type { Pair, SavedPair } from './pair.js';
import type { SavedWork } from './service-times.js';

/** What a restart keeps of what was learned, as JSON. */
export interface SavedLearning {
  readonly version: 1;
  readonly kinds: readonly { readonly containers: readonly string[]; readonly work: SavedWork }[];
  /** By node id and kind. */
  readonly nodes: Readonly<Record<string, Readonly<Record<string, SavedPair>>>>;
}

/** Pairs of node and kind that are remembered; callers can make up any number of chains. */
const MAX_PAIRS = 100_000;

/** All kinds of jobs that are known, and with them all that was learned. */
export class Kinds {
  private readonly kinds = new Map<string, Kind>();
  private saved: SavedLearning | undefined;

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
      const saved = this.saved?.kinds.find((one) => kindKey(one.containers) === key);
      if (saved !== undefined) kind.work.restore(saved.work);
      this.kinds.set(key, kind);
    }
    return kind;
  }

  /** The pair of a kind and a node, with what an earlier run learned of it. */
  pairOn(kind: Kind, node: NodeState, nowMs: number): Pair {
    const known = node.pairs.get(kind.key);
    if (known !== undefined) return known;
    const pair = kind.pairOn(node, nowMs);
    const saved = this.saved?.nodes[node.view.id]?.[kind.key];
    if (saved !== undefined) pair.restore(saved, nowMs);
    return pair;
  }

  /** Something changed that may concern all kinds. */
  expire(): void {
    for (const kind of this.kinds.values()) kind.expire();
  }

  /** What was learned, by this run or, of kinds that have not come up in it, by an earlier one. */
  export(): SavedLearning {
    const learned = [...this.kinds.values()].filter(({ work }) => work.known);
    const earlier = this.saved?.kinds.filter(({ containers }) => !this.knows(containers)) ?? [];
    const nodes: Record<string, Record<string, SavedPair>> = {};
    for (const { view, pairs } of this.nodes.values()) {
      const known = [...pairs].filter(([, { kind }]) => kind.work.known);
      const own = Object.fromEntries(known.map(([key, pair]) => [key, pair.save()]));
      nodes[view.id] = { ...this.saved?.nodes[view.id], ...own };
    }
    return {
      version: 1,
      kinds: [...learned.map(({ containers, work }) => ({ containers, work: work.save() })), ...earlier],
      nodes,
    };
  }

  /** Takes over what an earlier run learned, for kinds that have not run yet. */
  restore(saved: SavedLearning): void {
    if (saved.version !== 1) return;
    this.saved = saved;
    this.kinds.clear();
    for (const { pairs } of this.nodes.values()) pairs.clear();
  }

  private knows(containers: readonly string[]): boolean {
    return this.kinds.get(kindKey(containers))?.work.known === true;
  }

  private dropIdle(): void {
    for (const [key, kind] of this.kinds) {
      if (kind.held > 0 || kind.isBusy()) continue;
      this.kinds.delete(key);
      for (const { pairs } of this.nodes.values()) pairs.delete(key);
    }
  }
}
