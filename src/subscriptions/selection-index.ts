import { containerHash } from '../protocol/container-hash.js';

/** The most hashes that are kept: enough for every selection of 141 containers. */
const MOST_HASHES = 20_000;

interface Selection {
  readonly hash: string;
  readonly ids: readonly string[];
  /** How many nodes have it. */
  nodes: number;
}

interface IndexedNode {
  ids: ReadonlySet<string>;
  /** Its selections that are in the index. */
  readonly selections: Set<string>;
  /** False while some are left out because the index is full. */
  complete: boolean;
}

/**
 * Which containers the hash of a subscription means: every ordered selection of one or two containers of each node, by
 * its hash. Kept incrementally: a node whose containers change costs only the selections that it gains or loses. A hash
 * that is not found may still be one of a longer selection, or of one that was left out.
 */
export class SelectionIndex {
  private readonly nodes = new Map<string, IndexedNode>();
  private readonly selections = new Map<string, Selection>();
  private readonly idsByHash = new Map<string, readonly string[]>();

  constructor(private readonly mostHashes = MOST_HASHES) {}

  /** How many hashes are kept. */
  get size(): number {
    return this.idsByHash.size;
  }

  /** @param hash as `containerHash` gives it */
  containersOf(hash: string): readonly string[] | undefined {
    return this.idsByHash.get(hash);
  }

  /** The node has these containers from now on; none when it has gone, or can serve no subscription. */
  update(nodeId: string, containers: Iterable<string>): void {
    const ids = new Set(containers);
    const node = this.nodes.get(nodeId) ?? { ids: new Set(), selections: new Set(), complete: true };
    const sizeBefore = this.size;
    for (const key of node.selections) {
      if (this.selections.get(key)?.ids.every((id) => ids.has(id)) === false) this.release(node, key);
    }
    const gained = new Set([...ids].filter((id) => !node.ids.has(id)));
    const wasComplete = node.complete;
    node.ids = ids;
    if (ids.size === 0) this.nodes.delete(nodeId);
    else this.nodes.set(nodeId, node);
    if (gained.size > 0 || !wasComplete) this.fill(node, wasComplete ? gained : ids);
    if (this.size < sizeBefore)
      for (const other of this.nodes.values()) if (!other.complete) this.fill(other, other.ids);
  }

  /** Adds the node's selections that hold one of these ids, as far as there is room. */
  private fill(node: IndexedNode, gained: ReadonlySet<string>): void {
    node.complete = true;
    for (const ids of selectionsOf([...node.ids], gained)) {
      const key = ids.join(',');
      if (node.selections.has(key)) continue;
      const known = this.selections.get(key);
      if (known !== undefined) known.nodes += 1;
      else if (this.size >= this.mostHashes) {
        node.complete = false;
        continue;
      } else {
        const hash = containerHash(ids);
        this.selections.set(key, { hash, ids, nodes: 1 });
        this.idsByHash.set(hash, ids);
      }
      node.selections.add(key);
    }
  }

  private release(node: IndexedNode, key: string): void {
    node.selections.delete(key);
    const selection = this.selections.get(key);
    if (selection === undefined) return;
    selection.nodes -= 1;
    if (selection.nodes > 0) return;
    this.selections.delete(key);
    this.idsByHash.delete(selection.hash);
  }
}

/** Every ordered selection of one or two of the ids that holds one of the gained. */
function* selectionsOf(ids: readonly string[], gained: ReadonlySet<string>): Generator<string[]> {
  for (const id of gained) yield [id];
  for (const first of ids) {
    for (const second of ids) {
      if (first !== second && (gained.has(first) || gained.has(second))) yield [first, second];
    }
  }
}
