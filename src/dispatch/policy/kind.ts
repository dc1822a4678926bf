import type { NodeState } from './node-state.js';
import { Pair } from './pair.js';
import { WorkEstimate } from './service-times.js';

/** How often the order of speed is made anew while nothing but estimates change, in ms. */
const ORDER_LASTS_MS = 100;
/** An idle node is tried once after so long; after a canary that did better than expected, much sooner. In ms. */
const CANARY_AFTER_MS = 60_000;
const PROMISING_CANARY_AFTER_MS = 1_000;
/** Ejections are ignored when less than this share of a kind's nodes is healthy. */
const PANIC_BELOW = 0.5;

/** Jobs that need the same containers: what is known of their work, and the nodes that run them. */
export class Kind {
  readonly work = new WorkEstimate();
  /** On the nodes that are up and ours, fastest first. */
  order: readonly Pair[] = [];
  /** On nodes that other replicas work with and speak of, fastest first. */
  elsewhere: readonly Pair[] = [];
  /** Those with room for one more as far as their windows go. */
  readonly roomy = new Set<Pair>();
  /** So many nodes are ejected, or stand still, that this cannot be their own fault. */
  panic = false;
  /** An idle node that should be tried now. */
  canary: Pair | undefined;
  /** Jobs of this kind that are held. */
  held = 0;
  private readonly pairs = new Map<NodeState, Pair>();
  private orderedAtMs = -Infinity;
  private stale = true;

  constructor(
    readonly key: string,
    readonly containers: readonly string[],
  ) {}

  pairOn(node: NodeState, nowMs: number): Pair {
    let pair = this.pairs.get(node);
    if (pair === undefined) {
      pair = new Pair(node, this, nowMs);
      this.pairs.set(node, pair);
      node.pairs.set(this.key, pair);
    }
    return pair;
  }

  /** Whether a job of this kind is on a node. */
  isBusy(): boolean {
    for (const pair of this.pairs.values()) if (pair.count > 0) return true;
    return false;
  }

  /** Something changed that decides who takes part. */
  expire(): void {
    this.stale = true;
  }

  forget(node: NodeState): void {
    const pair = this.pairs.get(node);
    if (pair !== undefined) this.roomy.delete(pair);
    this.pairs.delete(node);
    this.stale = true;
  }

  /** Brings the order up to date if it has to be. */
  refresh(nodes: Iterable<NodeState>, nowMs: number, windowOf: (pair: Pair) => number): void {
    if (!this.stale && nowMs - this.orderedAtMs < ORDER_LASTS_MS) return;
    this.stale = false;
    this.orderedAtMs = nowMs;
    const all: Pair[] = [];
    let healthy = 0;
    let ours = 0;
    for (const node of nodes) {
      const pair = this.takePart(node, nowMs);
      if (pair === undefined) continue;
      all.push(pair);
      if (node.view.elsewhere === true) continue;
      if (this.held > 0) pair.considerStall(nowMs);
      this.makeRoom(pair, windowOf(pair));
      ours += 1;
      if (!pair.isDoubtful) healthy += 1;
    }
    this.panic = healthy < PANIC_BELOW * ours;
    all.sort((a, b) => a.serviceMs - b.serviceMs);
    this.order = all.filter(({ node }) => node.view.elsewhere !== true);
    this.elsewhere = all.filter(({ node }) => node.view.elsewhere === true);
    this.sumUp(all, nowMs);
  }

  makeRoom(pair: Pair, window: number): void {
    if (pair.count < window) this.roomy.add(pair);
    else this.roomy.delete(pair);
  }

  /** Where one more job may fit: the short list of those with room, or all of them, fastest first. */
  candidates(): Iterable<Pair> {
    return this.roomy.size * 4 < this.order.length ? this.roomy : this.order;
  }

  private takePart(node: NodeState, nowMs: number): Pair | undefined {
    const { view } = node;
    const told = view.elsewhere === true;
    if (told ? !node.summaryIsFresh(nowMs) : !view.available) return undefined;
    if (!node.runs(this.containers)) return undefined;
    const pair = this.pairOn(node, nowMs);
    if (told && node.summaryFor(this.key) === undefined) return undefined;
    pair.estimate(nowMs);
    return pair;
  }

  /** What waiting for the faster nodes promises, for each node; and the node to try next. */
  private sumUp(all: readonly Pair[], nowMs: number): void {
    let slots = 0;
    let rate = 0;
    this.canary = undefined;
    for (const pair of all) {
      pair.fasterSlots = slots;
      pair.fasterRate = rate;
      if (pair.isDoubtful && !this.panic) continue;
      if (rate > 0 && this.wantsCanary(pair, nowMs)) this.canary = pair;
      const { slots: more } = pair;
      slots += more;
      rate += more / pair.serviceMs;
    }
  }

  private wantsCanary(pair: Pair, nowMs: number): boolean {
    if (pair.node.view.elsewhere === true || pair.count > 0) return false;
    const after = pair.promising ? PROMISING_CANARY_AFTER_MS : CANARY_AFTER_MS;
    if (nowMs - Math.max(pair.lastSentMs, pair.lastEndedMs) < after) return false;
    return this.canary === undefined || pair.lastEndedMs < this.canary.lastEndedMs;
  }
}

export function kindKey(containers: readonly string[]): string {
  return JSON.stringify(containers);
}
