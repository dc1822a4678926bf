import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { GatewayError, messageOf } from '../errors.js';
import { Fleet } from '../nodes/fleet.js';
import { NodeSenders } from '../nodes/node-senders.js';
import type { FleetNode } from '../nodes/node.js';
import { isDatabaseUnavailable } from '../persistence/database-errors.js';
import { AttemptLoop, type Refusal, type Trip, type TripGuide, type TripOutcome } from './attempt-loop.js';
import { AttemptStore, type Attempt, type NewJob } from './attempt-store.js';
import { Policy, type JobNeeds, type Placement } from './policy.js';

/** What an application is told: its job is safe, or no node will have it. */
export type Submission =
  { readonly kind: 'acknowledged' } | { readonly kind: 'refused'; readonly refusal: Refusal };

/** A job that a node has; its result is to be collected there. */
export interface DeliveredJob {
  readonly attempt: Attempt;
  /** The id that the node knows the job by. */
  readonly nodeJobId: string;
  readonly containers: readonly string[];
  /** Whether the node said that it has the job; if not, it may. */
  readonly certain: boolean;
}

export interface DispatcherEvents {
  delivered: [job: DeliveredJob];
  /** A job was committed as `queued`; it may be for a node of another replica. */
  queued: [jobId: string];
}

const ACKNOWLEDGED: Submission = { kind: 'acknowledged' };
const DATABASE_RETRY_MS = 500;

/**
 * Owner of `queued` jobs: it feeds what happens to the policy and carries out what the policy decides. Its one
 * timer wakes the policy when a node's pause is over; everything else is driven by events.
 */
@Injectable()
export class Dispatcher extends EventEmitter<DispatcherEvents> implements TripGuide {
  private readonly log = new Logger(Dispatcher.name);
  private readonly policy = new Policy();
  private readonly loop: AttemptLoop;
  private readonly trips = new Set<Promise<unknown>>();
  /** How many trips of a job are under way: after a cancellation and a retry there may be two. */
  private readonly travelling = new Map<string, number>();
  /** Held jobs that a node has answered with a JSON 5xx: the next such answer counts as the second. */
  private readonly erred = new Set<string>();
  private stopping = false;
  private pumpIsDue = false;
  private wakeTimer: NodeJS.Timeout | undefined;

  constructor(
    senders: NodeSenders,
    private readonly store: AttemptStore,
    private readonly fleet: Fleet,
    private readonly settings: Settings,
  ) {
    super();
    this.loop = new AttemptLoop(senders, store, this);
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

  /** Whether this job is on its way to a node right now. */
  isSending(jobId: string): boolean {
    return this.travelling.has(jobId);
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
      if (attempt !== undefined && !sent) this.notAccepted(attempt, false);
    }
    if (attempt === undefined || !sent) {
      this.hold([job]);
      this.emit('queued', job.id);
      return ACKNOWLEDGED;
    }
    const trip: Trip = { ...tripOf(job, attempt, job.body), acknowledged: false };
    return this.answerInTime(trip, this.follow(trip), deadline);
  }

  /** Takes in committed `queued` jobs: from before a restart, retried, or handed in elsewhere. */
  hold(jobs: Iterable<JobNeeds>): void {
    for (const job of jobs) this.policy.hold(job);
    this.pumpSoon();
  }

  /** The job is over: if it is held, it is held no longer. */
  forget(jobId: string): void {
    this.erred.delete(jobId);
    this.policy.forget(jobId);
  }

  /** A job found on a node, or on its way there, when this replica took the node over. */
  adopt(nodeId: string): void {
    this.policy.adopted(nodeId);
  }

  /** This replica took a node over: what is there will be adopted. */
  laneReset(nodeId: string): void {
    this.policy.laneReset(nodeId);
  }

  /** A delivered job is over, or was not there; its place on the node is free. */
  ended({ attempt }: DeliveredJob): void {
    if (this.counts(attempt)) this.policy.ended(attempt.nodeId);
    this.pumpSoon();
  }

  /** How the containers of a job fare on a node: reasons of infrastructure close them there for a while. */
  pairSeen(nodeId: string, containers: readonly string[], works: boolean): void {
    if (works) this.policy.pairWorked(nodeId, containers);
    else this.policy.pairFaulted(nodeId, containers, Date.now());
  }

  /** The node does not answer questions either; it is left alone a while. */
  faulted(nodeId: string): void {
    this.policy.faulted(nodeId, Date.now());
  }

  /** Sends nothing new; waits for what is on its way, at most `budgetMs`. Safe to call twice. */
  async stop(budgetMs: number): Promise<void> {
    this.stopping = true;
    clearTimeout(this.wakeTimer);
    const settled = Promise.allSettled(this.trips);
    await Promise.race([settled, sleep(budgetMs, undefined, { ref: false })]);
  }

  node({ nodeId, fence }: Attempt): FleetNode | undefined {
    const node = this.fleet.get(nodeId);
    return node !== undefined && node.leased && node.lease?.fence === fence ? node : undefined;
  }

  nextNode(trip: Trip, tried: ReadonlySet<string>): { id: string; fence: number } | undefined {
    if (this.stopping) return undefined;
    const id = this.policy.place({ ...trip, id: trip.jobId }, Date.now(), tried);
    const fence = id === undefined ? undefined : this.fleet.get(id)?.lease?.fence;
    return id === undefined || fence === undefined ? undefined : { id, fence };
  }

  othersMayTake(trip: Trip, asked: readonly string[]): boolean {
    return this.fleet.nodes.some(
      (node) =>
        // Nobody waits for an answer about an acknowledged job, so it can wait for a node that is away.
        (trip.acknowledged || (!node.leased && node.health === 'up' && node.config.state === 'active')) &&
        node.config.state !== 'removing' &&
        node.runs(trip.containers) &&
        !asked.includes(node.id) &&
        !trip.avoid.includes(node.id),
    );
  }

  accepted(attempt: Attempt): void {
    if (this.counts(attempt)) this.policy.accepted(attempt.nodeId);
    this.pumpSoon();
  }

  unclear(attempt: Attempt): void {
    if (this.counts(attempt)) this.policy.unclear(attempt.nodeId, Date.now());
  }

  notAccepted(attempt: Attempt, fault: boolean): void {
    if (this.counts(attempt)) this.policy.notAccepted(attempt.nodeId, Date.now(), fault);
    this.pumpSoon();
  }

  paused(nodeId: string, pauseMs: number): void {
    this.policy.paused(nodeId, Date.now() + pauseMs);
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
    const { id, containers, available, config } = node;
    this.policy.nodeChanged({
      id,
      containers,
      available,
      weight: config.weight,
      maxInFlight: config.maxInFlight,
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
    const nodeId = this.policy.place(job, Date.now());
    const fence = nodeId === undefined ? undefined : this.fleet.get(nodeId)?.lease?.fence;
    if (nodeId === undefined || fence === undefined) return undefined;
    return { id: job.id, jobId: job.id, nodeId, number: 1, fence };
  }

  /** A job that is committed only after the application was told it is not must not run. */
  private async admitInTime(job: NewJob, attempt: Attempt | undefined, deadline: number): Promise<boolean> {
    const admission = this.store.admit(job, attempt);
    const late = Symbol('late');
    const timeUp = new AbortController();
    const first = await Promise.race([
      admission,
      sleep(deadline - Date.now(), late, { signal: timeUp.signal }).catch(() => late),
    ]).finally(() => timeUp.abort());
    if (first !== late) return first as boolean;
    void admission.then(() => this.commit(() => this.store.withdraw(job.id))).catch(() => undefined);
    throw new GatewayError('DATABASE_UNAVAILABLE', 'The database does not answer; the job was not stored');
  }

  /** Answers when the trip is over or the time is up, whichever comes first. */
  private answerInTime(trip: Trip, outcome: Promise<TripOutcome>, deadline: number): Promise<Submission> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        if (trip.withdrawn) return;
        trip.acknowledged = true;
        resolve(ACKNOWLEDGED);
      }, deadline - Date.now());
      outcome
        .then((end) => resolve(end.kind === 'refused' ? end : ACKNOWLEDGED), reject)
        .finally(() => clearTimeout(timer));
    });
  }

  private pumpSoon(): void {
    if (this.pumpIsDue || this.policy.held === 0) return;
    this.pumpIsDue = true;
    queueMicrotask(() => {
      this.pumpIsDue = false;
      this.pump();
    });
  }

  private pump(): void {
    if (this.stopping) return;
    const nowMs = Date.now();
    for (const placement of this.policy.release(nowMs)) void this.sendHeld(placement);
    clearTimeout(this.wakeTimer);
    const wakeAt = this.policy.nextChangeAt(nowMs);
    if (wakeAt !== undefined) this.wakeTimer = setTimeout(() => this.pump(), wakeAt - nowMs + 1);
  }

  private async sendHeld({ job, nodeId }: Placement): Promise<void> {
    const fence = this.fleet.get(nodeId)?.lease?.fence ?? -1;
    const unsent: Attempt = { id: job.id, jobId: job.id, nodeId, number: 0, fence };
    try {
      const claimed = await this.store.claim(job.id, nodeId, fence);
      if (claimed === 'gone') return this.notAccepted(unsent, false);
      if (claimed !== 'unleased') {
        const erred = this.erred.delete(job.id);
        const trip = { ...tripOf(job, claimed.attempt, claimed.body), erred };
        await this.follow(trip).catch(() => undefined);
        return;
      }
    } catch (error) {
      this.log.warn(`Job ${job.id} could not be claimed: ${messageOf(error)}`);
    }
    // Nothing was sent: hold the job again and come back when the lease or the database may be there.
    this.policy.notAccepted(nodeId, Date.now(), false);
    await sleep(DATABASE_RETRY_MS, undefined, { ref: false });
    this.hold([job]);
  }

  /** Follows a trip to its end: what it means for others is announced here. */
  private follow(trip: Trip): Promise<TripOutcome> {
    const { jobId } = trip;
    const arrived = (): void => {
      this.trips.delete(outcome);
      const others = (this.travelling.get(jobId) ?? 1) - 1;
      if (others === 0) this.travelling.delete(jobId);
      else this.travelling.set(jobId, others);
    };
    this.travelling.set(jobId, (this.travelling.get(jobId) ?? 0) + 1);
    const outcome = this.loop.send(trip).then(
      (end) => {
        arrived();
        this.announce(trip, end);
        return end;
      },
      (error: unknown) => {
        arrived();
        // The lane looks for open attempts that nobody follows, now and then, and takes them up.
        this.log.error({ err: error }, `Job ${trip.jobId} was left on its way`);
        throw error;
      },
    );
    this.trips.add(outcome);
    return outcome;
  }

  private announce(trip: Trip, end: TripOutcome): void {
    const { jobId, containers } = trip;
    if (end.kind === 'delivered') this.emit('delivered', { ...end, containers });
    if (end.kind !== 'held') return;
    if (end.erred) this.erred.add(jobId);
    this.hold([{ id: jobId, containers, avoid: [...trip.avoid, ...end.refusedBy], shun: trip.shun }]);
    this.emit('queued', jobId);
  }
}

function tripOf(job: JobNeeds, attempt: Attempt, body: Buffer): Trip {
  const { id, containers, avoid = [], shun = [] } = job;
  return {
    jobId: id,
    containers,
    avoid,
    shun,
    body,
    attempt,
    erred: false,
    acknowledged: true,
    withdrawn: false,
  };
}
