import { EventEmitter } from 'node:events';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { GatewayError, messageOf } from '../errors.js';
import { arrivedAt, Metrics, type AttemptOutcome } from '../metrics/metrics.js';
import { Fleet } from '../nodes/fleet.js';
import { NodeSenders } from '../nodes/node-senders.js';
import type { FleetNode } from '../nodes/node.js';
import { isDatabaseUnavailable } from '../persistence/database-errors.js';
import { beginSpan, type Traceparent } from '../tracing/tracing.js';
import { AttemptLoop, tripOf, type Trip, type TripGuide, type TripOutcome } from './attempt-loop.js';
import { AttemptStore, type Attempt, type ClaimedJob, type JobKind, type NewJob } from './attempt-store.js';
import { Reservations, type Place } from './places.js';
import type { Explanation, PairSummary } from './policy/explain.js';
import type { SavedLane } from './policy/kinds.js';
import type { LaneSummary } from './policy/node-state.js';
import type { Ending } from './policy/pair.js';
import type { Decision, JobNeeds, Placement } from './policy/placement.js';
import type { Prospect } from './policy/prospects.js';
import { Policy } from './policy/policy.js';
import type { Rescue } from './policy/rescuer.js';
import { ACKNOWLEDGED, answerBy, knownBy, type Submission } from './submission.js';
import { Trips } from './trips.js';

/** A job that a node has; its result is to be collected there. */
export interface DeliveredJob {
  readonly attempt: Attempt;
  /** Default `job`. */
  readonly jobKind?: JobKind | undefined;
  /** The id that the node knows the job by. */
  readonly nodeJobId: string;
  readonly containers: readonly string[];
  /** Whether the node said that it has the job; if not, it may. */
  readonly certain: boolean;
  readonly traceparent?: Traceparent | undefined;
}

export interface DispatcherEvents {
  delivered: [job: DeliveredJob];
  /** A job was committed as `queued`; it may be for a node of another replica. */
  queued: [jobId: string];
  /** A `queued` job was won for a node of this replica; the others need not hold it any more. */
  claimed: [jobId: string];
}

const DATABASE_RETRY_MS = 500;
/** Submissions that may be open at one node: one batch under way and the next one gathering (see NodeSender). */
const MAX_UNANSWERED = 200;

/**
 * Owner of `queued` jobs: it feeds what happens to the policy and carries out what the policy decides. Its one
 * timer wakes the policy when time alone makes a difference; everything else is driven by events. The policy's clock is
 * the process's monotonic one.
 */
@Injectable()
export class Dispatcher extends EventEmitter<DispatcherEvents> implements TripGuide {
  private readonly log = new Logger(Dispatcher.name);
  private readonly policy: Policy;
  private readonly loop: AttemptLoop;
  private readonly trips = new Trips();
  /** Held jobs that a node has answered with a JSON 5xx: the next such answer counts as the second. */
  private readonly erred = new Set<string>();
  private readonly reservations: Reservations;
  private stopping = false;
  private pumpIsDue = false;
  private wakeTimer: NodeJS.Timeout | undefined;

  constructor(
    senders: NodeSenders,
    private readonly store: AttemptStore,
    private readonly fleet: Fleet,
    private readonly settings: Settings,
    private readonly metrics: Metrics,
  ) {
    super();
    this.policy = new Policy({ rule: settings.dispatchPolicy, maxUnanswered: MAX_UNANSWERED });
    this.loop = new AttemptLoop(senders, store, this);
    this.reservations = new Reservations(this);
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

  /** Whether this job is on its way to a node right now, or holds a place that was reserved. */
  isSending(jobId: string): boolean {
    return this.trips.has(jobId) || this.reservations.has(jobId);
  }

  /**
   * A place for a job that is sent by somebody else than this dispatcher, such as a stream; undefined if it would have to
   * wait. @param tried nodes that it has been to: then the best of the others, be a slot free there or not
   */
  placeNow(job: JobNeeds, tried?: ReadonlySet<string>): Place | undefined {
    if (this.stopping) return undefined;
    const spot = this.leased(this.policy.place(job, performance.now(), tried));
    return spot === undefined ? undefined : this.reservations.take(job, spot);
  }

  /** As soon as there is one; undefined when the signal aborts first, or the gateway stops. */
  async reserve(job: JobNeeds, signal: AbortSignal): Promise<Place | undefined> {
    if (this.stopping) return undefined;
    const place = this.reservations.wait(job, signal);
    this.hold([job]);
    try {
      return await place;
    } finally {
      this.policy.forget(job.id);
    }
  }

  /** A job that holds a reserved place gives its first output. */
  started({ nodeId, jobId }: Attempt, containers: readonly string[]): void {
    this.policy.started(nodeId, { id: jobId, containers }, performance.now());
    this.pumpSoon();
  }

  /**
   * Commits a new job and sends it if a node can take it. Resolves when the job is safe and its first answer is
   * known, or after `ANSWER_WITHIN_MS` with the job safe; what is not settled by then goes on behind.
   * @throws GatewayError SHUTTING_DOWN; DATABASE_UNAVAILABLE when the job was not committed in that time;
   *   whatever the store throws when it could not be committed
   */
  async submit(job: NewJob): Promise<Submission> {
    if (this.stopping) throw new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down');
    const deadline = Date.now() + this.settings.answerWithinMs;
    const attempt = this.firstAttempt(job);
    let sent = false;
    try {
      sent = await this.admitInTime(job, attempt, deadline);
    } catch (error) {
      // It may have been committed all the same, while the connection broke; nobody was told, so nobody waits for it.
      void this.commit(() => this.store.withdraw(job.id)).catch(() => undefined);
      throw error;
    } finally {
      if (attempt !== undefined && !sent) this.notAccepted(attempt, job.containers, false);
    }
    if (attempt === undefined || !sent) {
      this.metrics.jobAccepted();
      this.log.debug({ jobId: job.id }, 'The job waits for a node');
      this.hold([job]);
      this.emit('queued', job.id);
      return ACKNOWLEDGED;
    }
    this.log.debug({ jobId: job.id, attemptId: attempt.id }, 'The job is stored and goes to a node');
    const trip = tripOf(job, attempt, job.body, job.traceparent);
    trip.acknowledged = false;
    this.metrics.jobPlaced(Date.now() - arrivedAt(job.id));
    const submission = await answerBy(trip, this.follow(trip), deadline);
    if (submission.kind === 'acknowledged') this.metrics.jobAccepted();
    return submission;
  }

  /** Takes in committed `queued` jobs: from before a restart, retried, or handed in elsewhere. */
  hold(jobs: Iterable<JobNeeds>): void {
    const nowMs = performance.now();
    for (const job of jobs) this.policy.hold(job, nowMs);
    this.pumpSoon();
  }

  /** The job is over: if it is held, it is held no longer. */
  forget(jobId: string): void {
    this.erred.delete(jobId);
    this.policy.forget(jobId);
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

  /**
   * A delivered job is over, or was not there; its place on the node is free.
   * @param unseenMs for how long it may have been over before that was seen
   * @param overtook how many earlier jobs of its kind the node was still working on then; left out if that follows from
   *   what was reported as ended before, because ends are seen at once
   */
  ended({ attempt, containers }: DeliveredJob, ending: Ending, unseenMs: number, overtook?: number): void {
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

  /** Jobs of nodes that stand still, to be started elsewhere too. To be asked about once a second. */
  stuck(): Rescue[] {
    this.pumpSoon();
    return this.policy.rescue(performance.now());
  }

  /** Sends nothing new; waits for what is on its way, at most `budgetMs`. Safe to call twice. */
  async stop(budgetMs: number): Promise<void> {
    this.stopping = true;
    this.reservations.stop();
    clearTimeout(this.wakeTimer);
    await Promise.race([this.trips.settled(), sleep(budgetMs, undefined, { ref: false })]);
  }

  node({ nodeId, fence }: Attempt): FleetNode | undefined {
    const node = this.fleet.get(nodeId);
    return node !== undefined && node.leased && node.lease?.fence === fence ? node : undefined;
  }

  nextNode(
    { jobId, containers, features, avoid, shun }: Trip,
    tried: ReadonlySet<string>,
  ): Pick<Attempt, 'nodeId' | 'fence' | 'decision'> | undefined {
    if (this.stopping) return undefined;
    const job = { id: jobId, containers, features, avoid, shun };
    return this.leased(this.policy.place(job, performance.now(), tried));
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

  attemptEnded({ nodeId }: Attempt, outcome: AttemptOutcome): void {
    this.metrics.attemptEnded(this.nameOf(nodeId), outcome);
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
    const { nodeId, jobId } = attempt;
    if (this.counts(attempt)) {
      this.policy.ended(nodeId, { id: jobId, containers }, 'gone', performance.now());
    }
    this.pumpSoon();
  }

  /** The node is left alone for so long, though it did nothing wrong. */
  paused(nodeId: string, pauseMs: number): void {
    this.policy.paused(nodeId, performance.now() + pauseMs);
  }

  async commit<T>(transition: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await transition();
      } catch (error) {
        if (!isDatabaseUnavailable(error) || this.stopping) throw error;
        await sleep(DATABASE_RETRY_MS, undefined, { ref: false });
      }
    }
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

  private firstAttempt(job: NewJob): Attempt | undefined {
    const place = this.leased(this.policy.place(job, performance.now()));
    if (place === undefined) return undefined;
    const { nodeId, fence, decision } = place;
    return { id: job.id, jobId: job.id, nodeId, number: 1, fence, decision };
  }

  private leased(
    placement: Placement | undefined,
  ): { nodeId: string; fence: number; decision: Decision } | undefined {
    if (placement === undefined) return undefined;
    const { job, nodeId, decision } = placement;
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

  /**
   * Commits a new job with its first attempt, if there is one. A job that is committed only after the application was told
   * it is not must not run. @returns as the store does. @throws GatewayError DATABASE_UNAVAILABLE after `deadline`
   */
  async admitInTime(job: NewJob, attempt: Attempt | undefined, deadline: number): Promise<boolean> {
    const admission = this.store.admit(job, attempt);
    const known = await knownBy(admission, deadline);
    if (known !== undefined) return known;
    void admission.then(() => this.commit(() => this.store.withdraw(job.id))).catch(() => undefined);
    throw new GatewayError('DATABASE_UNAVAILABLE', 'The database does not answer; the job was not stored');
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
      if (this.reservations.awaits(placement.job.id)) this.fulfil(placement);
      else void this.sendHeld(placement);
    }
    clearTimeout(this.wakeTimer);
    const wakeAt = this.policy.nextChangeAt(nowMs);
    if (wakeAt !== undefined) this.wakeTimer = setTimeout(() => this.pump(), wakeAt - nowMs + 1);
  }

  private fulfil(placement: Placement): void {
    const spot = this.leased(placement);
    if (spot !== undefined) this.reservations.fulfil(placement.job, spot);
    else
      setTimeout(
        () => this.reservations.awaits(placement.job.id) && this.hold([placement.job]),
        DATABASE_RETRY_MS,
      );
  }

  private async sendHeld({ job, nodeId, decision }: Placement): Promise<void> {
    const fence = this.fleet.get(nodeId)?.lease?.fence ?? -1;
    const wish = { jobId: job.id, nodeId, fence, decision };
    try {
      const claimed = await this.store.claim(wish);
      if (claimed === 'gone') {
        return this.notAccepted({ ...wish, id: job.id, number: 0 }, job.containers, false);
      }
      if (claimed !== 'unleased') {
        this.emit('claimed', job.id);
        if (claimed.attempt.number === 1) this.metrics.jobPlaced(Date.now() - arrivedAt(job.id));
        const erred = this.erred.delete(job.id);
        traceWait(claimed);
        const { attempt, body, traceparent } = claimed;
        await this.follow(tripOf(job, attempt, body, traceparent, erred)).catch(() => undefined);
        return;
      }
    } catch (error) {
      this.log.warn({ jobId: job.id }, `The job could not be claimed: ${messageOf(error)}`);
    }
    // Nothing was sent: hold the job again and come back when the lease or the database may be there.
    this.policy.notAccepted(nodeId, job, performance.now(), false);
    await sleep(DATABASE_RETRY_MS, undefined, { ref: false });
    this.hold([job]);
  }

  /** Follows a trip to its end: what it means for others is announced here. */
  private follow(trip: Trip): Promise<TripOutcome> {
    return this.trips.follow(
      trip.jobId,
      this.loop.send(trip),
      (end) => this.announce(trip, end),
      // The lane looks for open attempts that nobody follows, now and then, and takes them up.
      (error) => this.log.error({ err: error, jobId: trip.jobId }, 'The job was left on its way'),
    );
  }

  private nameOf(nodeId: string): string {
    return this.fleet.get(nodeId)?.config.name ?? 'removed';
  }

  private logEnd(jobId: string, end: TripOutcome): void {
    if (end.kind !== 'delivered') return this.log.debug({ jobId }, `The job was sent: ${end.kind}`);
    const { id: attemptId, nodeId } = end.attempt;
    const node = this.nameOf(nodeId);
    this.log.debug({ jobId, attemptId, node }, `The node ${end.certain ? 'has' : 'may have'} the job`);
  }

  private announce(trip: Trip, end: TripOutcome): void {
    const { jobId, containers } = trip;
    this.logEnd(jobId, end);
    if (end.kind === 'delivered') {
      const { attempt, nodeJobId, certain } = end;
      this.emit('delivered', { attempt, nodeJobId, containers, certain, traceparent: trip.traceparent });
    }
    if (end.kind !== 'held') return;
    if (end.erred) this.erred.add(jobId);
    const { features, shun } = trip;
    this.hold([{ id: jobId, containers, features, avoid: [...trip.avoid, ...end.refusedBy], shun }]);
    this.emit('queued', jobId);
  }
}

/** A job's wait for its first node, after the fact: whoever held it before may be gone. */
function traceWait({ attempt, traceparent }: ClaimedJob): void {
  if (traceparent === undefined || attempt.number !== 1) return;
  const startedAt = arrivedAt(attempt.jobId);
  beginSpan('wait for a node', {
    parent: traceparent,
    startedAt,
    attributes: { 'infernet.job.id': attempt.jobId },
  })?.end();
}
