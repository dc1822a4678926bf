import type { Traceparent } from '../tracing/tracing.js';
import type { Decision, JobNeeds } from './policy/placement.js';

/**
 * What dispatching must be able to make durable. Every method is one transition of the state machine in
 * src/jobs/job-state.ts and resolves once it is committed. The jobs module implements it.
 *
 * Whoever starts or gives up an attempt on a node must hold the node's lease: such transitions carry the lease's
 * fencing number and change nothing once another replica has taken the node over.
 */

/** What kind of job it is; see the schema. */
export type JobKind = 'job' | 'stream';

/** A job as an application handed it in. */
export interface NewJob extends JobNeeds {
  /** Default `job`; a `stream` is never run again once it was cut off from its caller. */
  readonly kind?: JobKind | undefined;
  readonly caller: string;
  readonly requiresProof: boolean;
  /** The JSON object for a node, without an id. */
  readonly body: Buffer;
  /** Where the request that handed it in stands in a trace; kept with the job. */
  readonly traceparent?: Traceparent | undefined;
}

/** One try of one job on one node. `id` is the node-side id that the gateway sends. */
export interface Attempt {
  readonly id: string;
  readonly jobId: string;
  readonly nodeId: string;
  /** Counts a job's attempts from 1. */
  readonly number: number;
  /** Of the lease under which this replica works with the node. */
  readonly fence: number;
  /** Why this node; stored with the attempt. Not known of attempts that were found. */
  readonly decision?: Decision | undefined;
}

/** The wish to start an attempt of a held job. */
export type Claim = Pick<Attempt, 'jobId' | 'nodeId' | 'fence' | 'decision'>;

/** A held job that was won for an attempt, with what has to be sent. */
export interface ClaimedJob {
  readonly attempt: Attempt;
  readonly body: Buffer;
  readonly traceparent?: Traceparent | undefined;
}

/** How an attempt ended that left its job unfinished. */
export interface AttemptEnding {
  readonly state: 'refused' | 'unreachable' | 'lost' | 'failed';
  /** In plain words, for operators; may name hosts. */
  readonly reason: string;
}

export abstract class AttemptStore {
  /**
   * Commits a new job: `sending` with its first attempt, or `queued` without.
   * @returns whether the attempt was made; if not, the lease was lost and the job is `queued`, or, as a stream is never
   *   queued, not there
   */
  abstract admit(job: NewJob, first: Attempt | undefined): Promise<boolean>;

  /**
   * `queued` → `sending`, with an attempt on the node.
   * @returns `gone` if the job is not queued any more (cancelled, or won by another replica); `unleased` if the lease was lost
   */
  abstract claim(wish: Claim): Promise<ClaimedJob | 'gone' | 'unleased'>;

  /** `sending` → `running`. `nodeJobId` is the id the node uses when it did not take ours. */
  abstract accepted(attempt: Attempt, nodeJobId: string | undefined): Promise<void>;

  /** The same with our id, in a moment: may be left out if the attempt ends before. */
  abstract noteAccepted(attempt: Attempt): Promise<void>;

  /**
   * Ends an attempt and starts the next one; the job stays `sending`, or, a stream that has given no output, `running`.
   * @returns false if that was not ours to do any more: cancelled, or a lease was lost; then the attempt stays open, but for
   *   one of a job that is over
   */
  abstract moveOn(attempt: Attempt, ending: AttemptEnding, next: Attempt): Promise<boolean>;

  /** Ends an attempt; `sending` or `running` → `queued`. @returns false if that was not ours to do any more */
  abstract requeue(attempt: Attempt, ending: AttemptEnding): Promise<boolean>;

  /** Ends an attempt and its job: `failed`, with `error` as what the application reads. */
  abstract fail(
    attempt: Attempt,
    containers: readonly string[],
    ending: AttemptEnding,
    error: string,
  ): Promise<void>;

  /** Takes a job away again that nobody was told about. */
  abstract withdraw(jobId: string): Promise<void>;
}
