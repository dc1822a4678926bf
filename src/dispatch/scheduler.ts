import { EventEmitter } from 'node:events';
import { performance } from 'node:perf_hooks';
import { Injectable } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { Metrics, type AttemptOutcome } from '../metrics/metrics.js';
import { Fleet } from '../nodes/fleet.js';
import type { FleetNode } from '../nodes/node.js';
import type { Trip, TripGuide } from './attempt-loop.js';
import type { Attempt } from './attempt-store.js';
import type { PlaceGuide, Spot } from './places.js';
import type { Explanation, PairSummary } from './policy/explain.js';
import type { SavedLane } from './policy/kinds.js';
import type { LaneSummary } from './policy/node-state.js';
import type { Ending } from './policy/pair.js';
import type { JobNeeds, Placement } from './policy/placement.js';
import { Policy } from './policy/policy.js';
import type { Prospect } from './policy/prospects.js';
import type { Rescue } from './policy/rescuer.js';

export interface SchedulerEvents {
  /** A held job is to go to this node now; it is counted there. */
  released: [job: JobNeeds, spot: Spot];
}

/** Submissions that may be open at one node: one batch under way and the next one gathering (see NodeSender). */
const MAX_UNANSWERED = 200;
/** After a release in vain: by then the lease, or the database, may be there. */
const RELEASE_RETRY_MS = 500;

/**
 * Which job goes to which node, and when: the policy on this process's monotonic clock, for the nodes that are leased to
 * this replica. Whatever happens to jobs and nodes is told here, and held jobs are released by it; one timer wakes
 * the policy when time alone makes a difference.
 */
@Injectable()
export class Scheduler extends EventEmitter<SchedulerEvents> implements TripGuide, PlaceGuide {
  private readonly policy: Policy;
  /** Jobs that were released in vain, until they are held again. */
  private readonly resting = new Map<string, NodeJS.Timeout>();
  /** Jobs that are being stored or won for a node, or on their way to one, each with a mark of the latest such way. */
  private readonly leaving = new Map<string, symbol>();
  private stopping = false;
  private pumpIsDue = false;
  private wakeTimer: NodeJS.Timeout | undefined;

  constructor(
    private readonly fleet: Fleet,
    private readonly metrics: Metrics,
    settings: Settings,
  ) {
    super();
    this.policy = new Policy({ rule: settings.dispatchPolicy, maxUnanswered: MAX_UNANSWERED });
    fleet.on('joined', (node) => this.nodeChanged(node));
    fleet.on('changed', (node) => this.nodeChanged(node));
    fleet.on('left', (node) => this.policy.nodeLeft(node.id));
    fleet.on('probed', (node) => this.pendingSeen(node));
  }

  /** Jobs held because no node can take them now. */
  get held(): number {
    return this.policy.held;
  }

  /** Our unfinished jobs on a node, and the unfinished work of others there. */
  loadOf(nodeId: string): { inFlight: number; foreign: number } {
    return { inFlight: this.policy.outstandingOn(nodeId), foreign: this.policy.foreignOn(nodeId) };
  }

  /** Whether failures keep a node out of the choice, and how often they ejected it, or a kind of job there. */
  ejectionOf(nodeId: string): { ejected: boolean; times: number } {
    return this.policy.ejectionOf(nodeId);
  }

  /** What is known of the kinds of jobs that ran on a node. */
  pairsOf(nodeId: string): PairSummary[] {
    return this.policy.pairsOf(nodeId);
  }

  /** How each node stands with jobs for these containers now, and which would get the next one. */
  explain(containers: readonly string[]): Explanation {
    return this.policy.explain(containers, performance.now());
  }

  /** What somebody who sends such jobs to nodes himself may expect of each; see `Policy`. */
  prospects(containers: readonly string[]): Prospect[] {
    return this.policy.prospects(containers);
  }

  /**
   * The node that a job goes to now; it is counted there. Undefined if the job would have to wait.
   * @param tried nodes that it has been to: then the best of the others, be a slot free there or not
   */
  place(job: JobNeeds, tried?: ReadonlySet<string>): Spot | undefined {
    if (this.stopping) return undefined;
    const placement = this.policy.place(job, performance.now(), tried);
    return placement === undefined ? undefined : this.spotOf(placement);
  }

  /**
   * Takes in committed `queued` jobs: from before a restart, retried, or handed in elsewhere. Those that leave now, or will
   * be held again after a rest, were `queued` when they were read; here more is known of them.
   */
  hold(jobs: Iterable<JobNeeds>): void {
    const nowMs = performance.now();
    for (const job of jobs) {
      if (!this.isLeaving(job.id) && !this.resting.has(job.id)) this.policy.hold(job, nowMs);
    }
    this.pumpSoon();
  }

  /**
   * A job is being stored or won for a node, or goes to one: it is not held until the returned function is called. If it is
   * forgotten before, it may be held at once: it has ended, or is somebody else's, and whoever holds it knows of it anew.
   */
  leaves(jobId: string): () => void {
    const way = Symbol(jobId);
    this.leaving.set(jobId, way);
    return () => {
      if (this.leaving.get(jobId) === way) this.leaving.delete(jobId);
    };
  }

  isLeaving(jobId: string): boolean {
    return this.leaving.has(jobId);
  }

  /** A held job waits no longer; one that leaves is not followed any more. */
  forget(jobId: string): void {
    clearTimeout(this.resting.get(jobId));
    this.resting.delete(jobId);
    this.leaving.delete(jobId);
    this.policy.forget(jobId);
  }

  /** Nothing came of a release: the job is held again when the lease, or the database, may be there. */
  giveBack(job: JobNeeds, { nodeId }: Pick<Spot, 'nodeId'>): void {
    this.policy.notAccepted(nodeId, job, performance.now(), false);
    this.rest(job);
  }

  /** A job found on a node, or on its way there, when this replica took the node over. */
  adopt(nodeId: string, job: JobNeeds): void {
    this.policy.adopted(nodeId, job, performance.now());
  }

  /** This replica took a node over: what is there will be adopted, and `learned` is what is known of it. */
  laneReset(nodeId: string, learned: SavedLane | undefined): void {
    this.policy.laneReset(nodeId);
    if (learned !== undefined) this.policy.restore(nodeId, learned, performance.now());
  }

  /** What was learned of a node, to be kept. */
  learnedOf(nodeId: string): SavedLane {
    return this.policy.export(nodeId);
  }

  /** What other replicas should know of a node of ours. */
  summaryOf(nodeId: string): LaneSummary {
    return this.policy.summaryOf(nodeId, performance.now());
  }

  /** Another replica said this of its node. */
  summarySeen(nodeId: string, summary: LaneSummary): void {
    this.policy.summarySeen(nodeId, summary, performance.now());
    this.pumpSoon();
  }

  node({ nodeId, fence }: Attempt): FleetNode | undefined {
    const node = this.fleet.get(nodeId);
    return node !== undefined && node.leased && node.lease?.fence === fence ? node : undefined;
  }

  nextNode({ jobId, containers, features, avoid, shun }: Trip, tried: ReadonlySet<string>): Spot | undefined {
    return this.place({ id: jobId, containers, features, avoid, shun }, tried);
  }

  othersMayTake(trip: Trip, asked: readonly string[]): boolean {
    return this.fleet.nodes.some(
      (node) =>
        // Nobody waits for an answer about an acknowledged job, so it can wait for a node that is away.
        (trip.acknowledged || (!node.leased && node.health === 'up' && node.config.state === 'active')) &&
        node.config.state !== 'removing' &&
        node.runs(trip.containers) &&
        trip.features.every((feature) => node.supports(feature)) &&
        !asked.includes(node.id) &&
        !trip.avoid.includes(node.id),
    );
  }

  accepted(attempt: Attempt, containers: readonly string[]): void {
    const { nodeId, jobId } = attempt;
    if (this.counts(attempt)) {
      this.policy.accepted(nodeId, { id: jobId, containers }, performance.now());
    }
    this.readBudget(nodeId);
    this.pumpSoon();
  }

  /** A job that holds a reserved place gives its first output. */
  started({ nodeId, jobId }: Attempt, containers: readonly string[]): void {
    this.policy.started(nodeId, { id: jobId, containers }, performance.now());
    this.pumpSoon();
  }

  attemptEnded({ nodeId }: Attempt, outcome: AttemptOutcome): void {
    this.metrics.attemptEnded(this.fleet.nameOf(nodeId), outcome);
  }

  unclear(attempt: Attempt): void {
    if (this.counts(attempt)) this.policy.unclear(attempt.nodeId, performance.now());
  }

  notAccepted(attempt: Attempt, containers: readonly string[], fault: boolean): void {
    const { nodeId, jobId } = attempt;
    if (this.counts(attempt)) {
      this.policy.notAccepted(nodeId, { id: jobId, containers }, performance.now(), fault);
    }
    this.readBudget(nodeId);
    this.pumpSoon();
  }

  leftBehind(attempt: Attempt, containers: readonly string[]): void {
    this.ended({ attempt, containers }, 'gone');
  }

  /**
   * A delivered job is over, or was not there; its place on the node is free.
   * @param unseenMs for how long it may have been over before that was seen
   * @param overtook how many earlier jobs of its kind the node was still working on then; left out if that follows from
   *   what was reported as ended before, because ends are seen at once
   */
  ended(
    { attempt, containers }: { readonly attempt: Attempt; readonly containers: readonly string[] },
    ending: Ending,
    unseenMs = 0,
    overtook?: number,
  ): void {
    const { nodeId, jobId } = attempt;
    if (this.counts(attempt)) {
      const seen = { unseenMs, overtook };
      this.policy.ended(nodeId, { id: jobId, containers }, ending, performance.now(), seen);
    }
    this.pumpSoon();
  }

  /** The node does not answer questions either; it is left alone a while. */
  faulted(nodeId: string): void {
    this.policy.faulted(nodeId, performance.now());
  }

  /** The node is left alone for so long, though it did nothing wrong. */
  paused(nodeId: string, pauseMs: number): void {
    this.policy.paused(nodeId, performance.now() + pauseMs);
  }

  /** Jobs of nodes that stand still, to be started elsewhere too. To be asked about once a second. */
  stuck(): Rescue[] {
    this.pumpSoon();
    return this.policy.rescue(performance.now());
  }

  /** Places and releases nothing more. Safe to call twice. */
  stop(): void {
    this.stopping = true;
    clearTimeout(this.wakeTimer);
    for (const timer of this.resting.values()) clearTimeout(timer);
  }

  private nodeChanged(node: FleetNode): void {
    const { id, containers, features, available, config } = node;
    this.policy.nodeChanged({
      id,
      containers,
      features,
      available,
      weight: config.weight,
      maxInFlight: config.maxInFlight,
      elsewhere: !node.leased,
    });
    this.pumpSoon();
  }

  private pendingSeen(node: FleetNode): void {
    if (node.info === undefined) return;
    const { offchain, onchain } = node.info.pending;
    this.policy.pendingSeen(node.id, offchain + onchain);
  }

  /** Whether the attempt is among those that the policy counts: made under the lease that was taken last. */
  private counts({ nodeId, fence }: Attempt): boolean {
    return this.fleet.get(nodeId)?.lease?.fence === fence;
  }

  /** With the lease to work under. Without one the placement is taken back. */
  private spotOf({ job, nodeId, decision }: Placement): Spot | undefined {
    const fence = this.fleet.get(nodeId)?.lease?.fence;
    if (fence !== undefined) return { nodeId, fence, decision };
    this.policy.notAccepted(nodeId, job, performance.now(), false);
    return undefined;
  }

  /** A job may leave alone or in a batch; a node is over its budget when batches have to wait. */
  private readBudget(nodeId: string): void {
    const node = this.fleet.get(nodeId);
    if (node === undefined) return;
    const nowMs = performance.now();
    this.policy.budget(nodeId, nowMs + node.budget.waitMs('create_job_batch', nowMs));
  }

  private rest(job: JobNeeds): void {
    if (this.stopping) return;
    clearTimeout(this.resting.get(job.id));
    const timer = setTimeout(() => {
      this.resting.delete(job.id);
      this.hold([job]);
    }, RELEASE_RETRY_MS);
    this.resting.set(job.id, timer.unref());
  }

  private pumpSoon(): void {
    if (this.pumpIsDue || this.policy.held === 0) return;
    this.pumpIsDue = true;
    // Once for all that this turn of the event loop brings: one reply may end two hundred jobs.
    setImmediate(() => {
      this.pumpIsDue = false;
      this.pump();
    });
  }

  private pump(): void {
    if (this.stopping) return;
    const nowMs = performance.now();
    for (const placement of this.policy.release(nowMs)) {
      const spot = this.spotOf(placement);
      if (spot === undefined) this.rest(placement.job);
      else this.emit('released', placement.job, spot);
    }
    clearTimeout(this.wakeTimer);
    const wakeAt = this.policy.nextChangeAt(nowMs);
    if (wakeAt !== undefined) this.wakeTimer = setTimeout(() => this.pump(), wakeAt - nowMs + 1);
  }
}
