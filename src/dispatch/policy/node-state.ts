import type { NodeFeature } from '../../protocol/node-info.js';
import { Breaker } from './ejection.js';
import type { Pair } from './pair.js';

/** A node as the policy has to know it. */
export interface NodeView {
  readonly id: string;
  /** Container id → whether it may come first. */
  readonly containers: ReadonlyMap<string, { readonly external: boolean }>;
  readonly available: boolean;
  /** What it can do that not every node can; undefined means everything. */
  readonly features?: ReadonlySet<NodeFeature>;
  /** Above 0; a node of weight 2 is given twice the work. */
  readonly weight: number;
  readonly maxInFlight: number | null;
  /** Another replica works with it and says now and then how it fares; nothing is sent there from here. */
  readonly elsewhere?: boolean;
}

/** What the replica that works with a node tells the others of it, for each kind of job (`kindKey`). */
export interface LaneSummary {
  readonly kinds: Readonly<
    Record<string, { readonly slots: number; readonly free: number; readonly serviceMs: number }>
  >;
}

/** A summary that is older than this says nothing any more, in ms. */
const SUMMARY_LASTS_MS = 2_000;

/** Share of the newest sample in how late ends are seen, and in how long jobs are on their way. */
const NEWEST_SHARE = 1 / 8;

/** A node and what concerns it as a whole; what concerns one kind of job there is a `Pair`. */
export class NodeState {
  /** Jobs of ours on the node, from dispatch until the result is known. */
  outstanding = 0;
  /** Those of them whose submission is not answered yet. */
  unanswered = 0;
  /** Unfinished work of other clients. */
  foreign = 0;
  /** When the node asked to be left alone until. */
  pausedUntilMs = 0;
  /** When the next request may leave without breaking the node's rate limit. */
  budgetAtMs = 0;
  /** How long a result may be there before the gateway sees it, as it was lately. */
  collectsEveryMs = 0;
  /** How long a job is on its way to the node, from the choice until the node has it, as it was lately. */
  handoverMs = 0;
  readonly breaker = new Breaker();
  /** How often failures ejected it, or one kind of job there. */
  ejections = 0;
  readonly pairs = new Map<string, Pair>();
  private summary: LaneSummary | undefined;
  private summaryAtMs = 0;

  constructor(public view: NodeView) {}

  tell(summary: LaneSummary, nowMs: number): void {
    this.summary = summary;
    this.summaryAtMs = nowMs;
  }

  summaryFor(kindKey: string): LaneSummary['kinds'][string] | undefined {
    return this.view.elsewhere === true ? this.summary?.kinds[kindKey] : undefined;
  }

  summaryIsFresh(nowMs: number): boolean {
    return nowMs - this.summaryAtMs <= SUMMARY_LASTS_MS;
  }

  /** An end was seen that may have been there for so long. */
  sawLate(unseenMs: number): void {
    this.collectsEveryMs += NEWEST_SHARE * (unseenMs - this.collectsEveryMs);
  }

  /** The node took a job that was on its way for so long. */
  tookAfter(onItsWayMs: number): void {
    this.handoverMs += NEWEST_SHARE * (onItsWayMs - this.handoverMs);
  }

  supports(features: readonly NodeFeature[]): boolean {
    const { features: own } = this.view;
    return own === undefined || features.every((feature) => own.has(feature));
  }

  runs(containers: readonly string[]): boolean {
    const offers = this.view.containers;
    return offers.get(containers[0] ?? '')?.external === true && containers.every((id) => offers.has(id));
  }
}
