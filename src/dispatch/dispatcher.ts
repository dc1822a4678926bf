import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { GatewayError, messageOf } from '../errors.js';
import { Fleet } from '../nodes/fleet.js';
import { NodeClient } from '../nodes/node-client.js';
import type { FleetNode } from '../nodes/node.js';
import { isDatabaseUnavailable } from '../persistence/database-errors.js';
import {
  AttemptLoop,
  DEFAULT_ASKING,
  type Refusal,
  type Trip,
  type TripGuide,
  type TripOutcome,
} from './attempt-loop.js';
import { AttemptStore, type ClaimedJob, type NewAttempt, type NewJob } from './attempt-store.js';
import { Policy, type JobNeeds, type Placement } from './policy.js';

/** What an application is told: its job is safe, or no node will have it. */
export type Submission =
  { readonly kind: 'acknowledged' } | { readonly kind: 'refused'; readonly refusal: Refusal };

/** A job that a node has accepted; its result is to be collected there. */
export interface AcceptedJob {
  readonly attempt: NewAttempt;
  /** The id that the node knows the job by. */
  readonly nodeJobId: string;
  readonly containers: readonly string[];
}

export interface DispatcherEvents {
  /** A node took a job: its result is to be collected there. */
  accepted: [job: AcceptedJob];
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
  private stopping = false;
  private pumpIsDue = false;
  private wakeTimer: NodeJS.Timeout | undefined;

  constructor(
    client: NodeClient,
    private readonly store: AttemptStore,
    private readonly fleet: Fleet,
    private readonly settings: Settings,
  ) {
    super();
    this.loop = new AttemptLoop(client, store, this, {
      submitTimeoutMs: settings.submitTimeoutMs,
      ...DEFAULT_ASKING,
    });
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

  /**
   * Commits a new job and sends it if a node can take it. Resolves when the job is safe and its first answer is
   * known, or after `ANSWER_WITHIN_MS` with the job safe; what is not settled by then goes on behind.
   * @throws GatewayError SHUTTING_DOWN; whatever the store throws when the job could not be committed
   */
  async submit(job: NewJob): Promise<Submission> {
    if (this.stopping) throw new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down');
    const nodeId = this.policy.place(job, Date.now());
    if (nodeId === undefined) {
      await this.store.admit(job, undefined);
      this.hold([job]);
      return ACKNOWLEDGED;
    }
    const attempt = { id: job.id, jobId: job.id, nodeId, number: 1 };
    try {
      await this.store.admit(job, attempt);
    } catch (error) {
      this.notAccepted(nodeId, false);
      throw error;
    }
    const trip: Trip = { ...tripOf(job, attempt, job.body), acknowledged: false };
    return this.answerInTime(trip, this.track(trip, this.loop.send(trip)));
  }

  /** Takes in committed `queued` jobs: from before a restart, retried, or handed in elsewhere. */
  hold(jobs: Iterable<JobNeeds>): void {
    for (const job of jobs) this.policy.hold(job);
    this.pumpSoon();
  }

  /** A queued job was cancelled. */
  forget(job: JobNeeds): void {
    this.policy.forget(job);
  }

  /** Goes on with an attempt that a process before this one left in `sending`. */
  resume(job: JobNeeds, attempt: NewAttempt, body: Buffer): void {
    this.policy.adopted(attempt.nodeId, false);
    const trip = tripOf(job, attempt, body);
    void this.track(trip, this.loop.resume(trip)).catch(() => undefined);
  }

  /** A job found running on a node after a restart counts there. */
  adopt(nodeId: string): void {
    this.policy.adopted(nodeId, true);
  }

  /** An accepted job is over; its place on the node is free. */
  ended(nodeId: string): void {
    this.policy.ended(nodeId);
    this.pumpSoon();
  }

  /** Sends nothing new; waits for what is on its way, at most `budgetMs`. Safe to call twice. */
  async stop(budgetMs: number): Promise<void> {
    this.stopping = true;
    clearTimeout(this.wakeTimer);
    const settled = Promise.allSettled(this.trips);
    await Promise.race([settled, sleep(budgetMs, undefined, { ref: false })]);
  }

  node(id: string): FleetNode | undefined {
    return this.fleet.get(id);
  }

  nextNode(trip: Trip, tried: ReadonlySet<string>): string | undefined {
    return this.stopping ? undefined : this.policy.place({ ...trip, id: trip.jobId }, Date.now(), tried);
  }

  accepted(nodeId: string): void {
    this.policy.accepted(nodeId);
    this.pumpSoon();
  }

  notAccepted(nodeId: string, fault: boolean): void {
    this.policy.notAccepted(nodeId, Date.now(), fault);
    this.pumpSoon();
  }

  faulted(nodeId: string): void {
    this.policy.faulted(nodeId, Date.now());
  }

  paused(nodeId: string, pauseMs: number): void {
    this.policy.paused(nodeId, Date.now() + pauseMs);
  }

  async commit(transition: () => Promise<void>): Promise<void> {
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

  /** Answers when the trip is over or the time is up, whichever comes first. */
  private answerInTime(trip: Trip, outcome: Promise<TripOutcome>): Promise<Submission> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        if (trip.withdrawn) return;
        trip.acknowledged = true;
        resolve(ACKNOWLEDGED);
      }, this.settings.answerWithinMs);
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
    let claimed: ClaimedJob | undefined;
    try {
      claimed = await this.store.claim(job.id, nodeId);
    } catch (error) {
      // Nothing was sent: hold the job again and come back when the database may be there.
      this.log.warn(`Job ${job.id} could not be claimed: ${messageOf(error)}`);
      this.policy.notAccepted(nodeId, Date.now(), false);
      await sleep(DATABASE_RETRY_MS, undefined, { ref: false });
      return this.hold([job]);
    }
    if (claimed === undefined) return this.notAccepted(nodeId, false);
    const trip = tripOf(job, claimed.attempt, claimed.body);
    await this.track(trip, this.loop.send(trip)).catch(() => undefined);
  }

  /** Follows a trip to its end: what it means for others is announced here. */
  private track(trip: Trip, outcome: Promise<TripOutcome>): Promise<TripOutcome> {
    const followed = outcome.then(
      (end) => {
        if (end.kind === 'accepted') this.emit('accepted', { ...end, containers: trip.containers });
        else if (end.kind === 'held') this.hold([{ id: trip.jobId, containers: trip.containers }]);
        return end;
      },
      (error: unknown) => {
        this.log.error(`Job ${trip.jobId} is stuck in sending: ${messageOf(error)}`);
        throw error;
      },
    );
    this.trips.add(followed);
    const forget = (): void => void this.trips.delete(followed);
    followed.then(forget, forget);
    return followed;
  }
}

function tripOf(job: JobNeeds, attempt: NewAttempt, body: Buffer): Trip {
  return { jobId: job.id, containers: job.containers, body, attempt, acknowledged: true, withdrawn: false };
}
