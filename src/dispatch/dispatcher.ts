import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { GatewayError, messageOf } from '../errors.js';
import { arrivedAt, Metrics } from '../metrics/metrics.js';
import { Fleet } from '../nodes/fleet.js';
import { NodeSenders } from '../nodes/node-senders.js';
import { Commits } from '../persistence/commits.js';
import { beginSpan, type Traceparent } from '../tracing/tracing.js';
import { AttemptLoop, tripOf, type Trip, type TripOutcome } from './attempt-loop.js';
import { AttemptStore, type Attempt, type ClaimedJob, type JobKind, type NewJob } from './attempt-store.js';
import { Reservations, type Place, type Spot } from './places.js';
import type { JobNeeds } from './policy/placement.js';
import { Scheduler } from './scheduler.js';
import { ACKNOWLEDGED, admitInTime, answerBy, type Submission } from './submission.js';
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

/**
 * Owner of `queued` jobs: it stores what callers hand in and takes it, and what the scheduler releases, to the nodes that the
 * scheduler chose. What comes of a job is announced here.
 */
@Injectable()
export class Dispatcher extends EventEmitter<DispatcherEvents> {
  private readonly log = new Logger(Dispatcher.name);
  private readonly loop: AttemptLoop;
  private readonly trips = new Trips();
  private readonly reservations: Reservations;
  /** Held jobs that a node has answered with a JSON 5xx: the next such answer counts as the second. */
  private readonly erred = new Set<string>();
  private stopping = false;

  constructor(
    senders: NodeSenders,
    readonly store: AttemptStore,
    readonly commits: Commits,
    private readonly scheduler: Scheduler,
    private readonly fleet: Fleet,
    private readonly settings: Settings,
    private readonly metrics: Metrics,
  ) {
    super();
    this.loop = new AttemptLoop(senders, store, commits, scheduler);
    this.reservations = new Reservations(scheduler);
    scheduler.on('released', (job, spot) => {
      if (this.reservations.awaits(job.id)) this.reservations.fulfil(job, spot);
      else void this.sendHeld(job, spot);
    });
  }

  /**
   * Whether this job is on its way to a node right now, or holds a place that was reserved. An attempt counts from before it
   * is committed: whoever finds it stored may have been faster than word of that.
   */
  isSending(jobId: string): boolean {
    return this.scheduler.isLeaving(jobId) || this.trips.has(jobId) || this.reservations.has(jobId);
  }

  /**
   * A place for a job that is sent by somebody else than this dispatcher, such as a stream; undefined if it would have to
   * wait. @param tried nodes that it has been to: then the best of the others, be a slot free there or not
   */
  placeNow(job: JobNeeds, tried?: ReadonlySet<string>): Place | undefined {
    const spot = this.scheduler.place(job, tried);
    return spot === undefined ? undefined : this.reservations.take(job, spot);
  }

  /** As soon as there is one; undefined when the signal aborts first, or the gateway stops. */
  async reserve(job: JobNeeds, signal: AbortSignal): Promise<Place | undefined> {
    if (this.stopping) return undefined;
    const place = this.reservations.wait(job, signal);
    this.scheduler.hold([job]);
    try {
      return await place;
    } finally {
      this.scheduler.forget(job.id);
    }
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
    const stored = this.scheduler.leaves(job.id);
    let sent = false;
    try {
      sent = await admitInTime(this, job, attempt, deadline);
    } finally {
      stored();
      if (attempt !== undefined && !sent) this.scheduler.notAccepted(attempt, job.containers, false);
    }
    if (attempt === undefined || !sent) {
      this.metrics.jobAccepted();
      this.log.debug({ jobId: job.id }, 'The job waits for a node');
      this.scheduler.hold([job]);
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

  /** The job is over, or somebody else's: if it is held, it is held no longer. */
  forget(jobId: string): void {
    this.erred.delete(jobId);
    this.scheduler.forget(jobId);
  }

  /** Sends nothing new; waits for what is on its way, at most `budgetMs`. Safe to call twice. */
  async stop(budgetMs: number): Promise<void> {
    this.stopping = true;
    this.scheduler.stop();
    this.reservations.stop();
    await Promise.race([this.trips.settled(), sleep(budgetMs, undefined, { ref: false })]);
  }

  private firstAttempt(job: NewJob): Attempt | undefined {
    const spot = this.scheduler.place(job);
    return spot === undefined ? undefined : { id: job.id, jobId: job.id, number: 1, ...spot };
  }

  private async sendHeld(job: JobNeeds, spot: Spot): Promise<void> {
    const { id, containers } = job;
    const arrived = this.scheduler.leaves(id);
    try {
      const claimed = await this.store.claim({ jobId: id, ...spot });
      if (claimed === 'gone') {
        return this.scheduler.notAccepted({ ...spot, id, jobId: id, number: 0 }, containers, false);
      }
      if (claimed !== 'unleased') {
        await this.sendClaimed(job, claimed).catch(() => undefined);
        return;
      }
    } catch (error) {
      this.log.warn({ jobId: id }, `The job could not be claimed: ${messageOf(error)}`);
    } finally {
      arrived();
    }
    this.scheduler.giveBack(job, spot);
  }

  private sendClaimed(job: JobNeeds, claimed: ClaimedJob): Promise<TripOutcome> {
    this.emit('claimed', job.id);
    if (claimed.attempt.number === 1) this.metrics.jobPlaced(Date.now() - arrivedAt(job.id));
    const erred = this.erred.delete(job.id);
    traceWait(claimed);
    return this.follow(tripOf(job, claimed.attempt, claimed.body, claimed.traceparent, erred));
  }

  /** Follows a trip to its end: what it means for others is announced here. */
  private follow(trip: Trip): Promise<TripOutcome> {
    const arrived = this.scheduler.leaves(trip.jobId);
    return this.trips.follow(
      trip.jobId,
      this.loop.send(trip).finally(arrived),
      (end) => this.announce(trip, end),
      // The lane looks for open attempts that nobody follows, now and then, and takes them up.
      (error) => this.log.error({ err: error, jobId: trip.jobId }, 'The job was left on its way'),
    );
  }

  private logEnd(jobId: string, end: TripOutcome): void {
    if (end.kind !== 'delivered') return this.log.debug({ jobId }, `The job was sent: ${end.kind}`);
    const { id: attemptId, nodeId } = end.attempt;
    const node = this.fleet.nameOf(nodeId);
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
    this.scheduler.hold([
      { id: jobId, containers, features, avoid: [...trip.avoid, ...end.refusedBy], shun },
    ]);
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
