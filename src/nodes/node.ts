import { performance } from 'node:perf_hooks';
import { RateBudget } from './rate-budget.js';
import {
  featuresOf,
  type ContainerInfo,
  type NodeFeature,
  type NodeInfo,
  type PendingCounts,
} from '../protocol/node-info.js';

/** A node as operators configured it. */
export interface NodeConfig {
  readonly id: string;
  /** Normalised; see `normaliseNodeUrl`. */
  readonly url: string;
  readonly name: string;
  /** Share of work relative to other nodes, above 0. */
  readonly weight: number;
  /** Hard cap on jobs in flight; null means none. */
  readonly maxInFlight: number | null;
  readonly labels: Readonly<Record<string, string>>;
  /** Sent with every request to the node. Values are secrets. */
  readonly headers: Readonly<Record<string, string>>;
  readonly state: 'active' | 'draining' | 'removing' | 'removed';
  /** By hand, the setting NODES, a file or a node explorer; see src/discovery. */
  readonly source: 'admin' | 'env' | 'file' | 'explorer';
  /** Whether it may have callers' data. */
  readonly approved: boolean;
  /** The state it had when its source listed it no more; null for one that is listed, or belongs to no list. */
  readonly leftFrom: NodeConfig['state'] | null;
  readonly createdAt: Date;
}

/** `unknown` until the first probe has answered or failed. */
export type NodeHealth = 'unknown' | 'up' | 'down';

/**
 * The right to work with a node, held by one replica at a time. `fence` goes up with every new holder; `validUntilMs` is
 * on this process's monotonic clock (`performance.now()`), counted from before the lease was asked for.
 */
export interface Lease {
  readonly fence: number;
  readonly validUntilMs: number;
}

/** What the replica that holds a node's lease tells the others of it. */
export interface NodeSummary {
  readonly health: NodeHealth;
  readonly pending: PendingCounts;
  /** How it fares in detail, as JSON, for operators to see; there only where other replicas are. */
  readonly status?: unknown;
}

/** After so many probes in a row without an answer a node counts as down; a refused connection is certain at once. */
const MISSED_PROBES = 2;

const NO_CONTAINERS: ReadonlyMap<string, ContainerInfo> = new Map();
const NO_FEATURES: ReadonlySet<NodeFeature> = new Set();

/**
 * A registered node and what is known of it right now. It answers predicates; whoever chooses asks only those.
 * Probes and requests report here what they saw.
 */
export class FleetNode {
  health: NodeHealth = 'unknown';
  lastSeenAt: Date | undefined;
  lastError: { readonly message: string; readonly at: Date } | undefined;
  /** How long the last /info took, in ms. */
  latencyMs: number | undefined;
  /** Undefined while another replica, or none, works with the node. */
  lease: Lease | undefined;
  /** How fast this replica may ask it. */
  readonly budget = new RateBudget();
  /** How it fares, as told by the replica that works with it last; see `NodeSummary`. */
  toldStatus: unknown;
  /** Whether keeping connections to it pays; measured now and then. */
  reusesConnections = false;
  /** When that was, on the clock of `performance.now()`; a lease that comes back is no reason to measure again. */
  reuseMeasuredAtMs = -Infinity;
  /** What it offers has changed and is not stored yet; whoever probes it next tries again, be it under another lease. */
  offerUnsaved = false;
  private containersById = new Map<string, ContainerInfo>();
  private knownFeatures: ReadonlySet<NodeFeature> = new Set();
  private missedProbes = 0;
  private lastInfo: NodeInfo | undefined;

  constructor(
    public config: NodeConfig,
    snapshot?: NodeInfo,
  ) {
    if (snapshot !== undefined) this.learn(snapshot);
  }

  get id(): string {
    return this.config.id;
  }

  /** What the node last said of itself, maybe before the gateway started. */
  get info(): NodeInfo | undefined {
    return this.lastInfo;
  }

  /** What it offers to callers: nothing before an operator has approved it. Stays the same object until it changes. */
  get containers(): ReadonlyMap<string, ContainerInfo> {
    return this.config.approved ? this.containersById : NO_CONTAINERS;
  }

  /** What it can do for callers that not every node can; nothing until it was asked once. Stays the same until it changes. */
  get features(): ReadonlySet<NodeFeature> {
    return this.config.approved ? this.knownFeatures : NO_FEATURES;
  }

  /** Whether it can serve a call that not every version, or not a node without a chain, can. */
  supports(feature: NodeFeature): boolean {
    return this.features.has(feature);
  }

  /** Whether this replica may work with the node right now. */
  get leased(): boolean {
    return this.lease !== undefined && performance.now() < this.lease.validUntilMs;
  }

  /** May it be given new jobs by this replica, as far as lease, health and the operator go? */
  get available(): boolean {
    const { approved, state } = this.config;
    return this.leased && this.health === 'up' && state === 'active' && approved;
  }

  /**
   * How many of the containers it runs, counted from the first; a chain is served only if all count.
   * The first one has to be external for the job to be accepted (docs/protocol.md §1).
   */
  prefixOf(containers: readonly string[]): number {
    const missing = containers.findIndex((id) => !this.containers.has(id));
    return missing === -1 ? containers.length : missing;
  }

  runs(containers: readonly string[]): boolean {
    return this.prefixOf(containers) === containers.length;
  }

  /** @returns whether what it offers has changed since the last time */
  answered(info: NodeInfo, latencyMs: number, at: Date): boolean {
    const changed = this.learnIfChanged(info);
    this.health = 'up';
    this.missedProbes = 0;
    this.latencyMs = latencyMs;
    this.lastSeenAt = at;
    return changed;
  }

  /** A probe got no usable answer. `certain` when nobody listens there at all. */
  missed(message: string, certain: boolean, at: Date): void {
    this.lastError = { message, at };
    this.missedProbes += 1;
    if (certain || this.missedProbes >= MISSED_PROBES || this.health === 'unknown') this.health = 'down';
  }

  /** What the other replicas are told of it. */
  summary(): NodeSummary {
    return { health: this.health, pending: this.lastInfo?.pending ?? { offchain: 0, onchain: 0 } };
  }

  /** Another replica works with the node and said this of it. */
  told(summary: NodeSummary, snapshot: NodeInfo | undefined): void {
    this.health = summary.health;
    this.toldStatus = summary.status;
    if (snapshot !== undefined) this.learnIfChanged({ ...snapshot, pending: summary.pending });
  }

  /** The map of containers stays the same object until it changes; others compare it by identity. */
  private learnIfChanged(info: NodeInfo): boolean {
    const changed = JSON.stringify(offerOf(this.lastInfo)) !== JSON.stringify(offerOf(info));
    if (changed) this.learn(info);
    else this.lastInfo = info;
    return changed;
  }

  private learn(info: NodeInfo): void {
    this.lastInfo = info;
    this.knownFeatures = featuresOf(info);
    this.containersById = new Map(info.containers.map((container) => [container.id, container]));
  }
}

/** The part of /info that changes seldom; pending counts do not belong to it. */
function offerOf(info: NodeInfo | undefined): Omit<NodeInfo, 'pending'> | undefined {
  if (info === undefined) return undefined;
  const { version, chain, containers } = info;
  return { version, chain, containers };
}
