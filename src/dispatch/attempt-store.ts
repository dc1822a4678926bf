/**
 * What dispatching must be able to make durable. Every method is one transition of the state machine in
 * src/jobs/job-state.ts and resolves once it is committed. The jobs module implements it.
 */

/** A job as an application handed it in. */
export interface NewJob {
  readonly id: string;
  readonly caller: string;
  readonly containers: readonly string[];
  readonly requiresProof: boolean;
  /** The JSON object for a node, without an id. */
  readonly body: Buffer;
}

/** One try of one job on one node. `id` is the node-side id that the gateway sends. */
export interface NewAttempt {
  readonly id: string;
  readonly jobId: string;
  readonly nodeId: string;
  /** Counts a job's attempts from 1. */
  readonly number: number;
}

/** A held job that was won for an attempt, with what has to be sent. */
export interface ClaimedJob {
  readonly attempt: NewAttempt;
  readonly body: Buffer;
}

/** How an attempt ended that left its job unfinished. */
export interface AttemptEnding {
  readonly state: 'refused' | 'unreachable' | 'lost';
  /** In plain words, for operators. */
  readonly reason: string;
}

export abstract class AttemptStore {
  /** Commits a new job: `sending` with its first attempt, or `queued` without. */
  abstract admit(job: NewJob, first: NewAttempt | undefined): Promise<void>;

  /**
   * `queued` → `sending`, with an attempt on the node. Undefined if the job is not queued any more: cancelled, or
   * won by another replica.
   */
  abstract claim(jobId: string, nodeId: string): Promise<ClaimedJob | undefined>;

  /** `sending` → `running`. `nodeJobId` is the id the node uses when it did not take ours. */
  abstract accepted(attempt: NewAttempt, nodeJobId: string | undefined): Promise<void>;

  /** Ends an attempt and starts the next one; the job stays `sending`. */
  abstract moveOn(attempt: NewAttempt, ending: AttemptEnding, next: NewAttempt): Promise<void>;

  /** Ends an attempt; `sending` → `queued`. */
  abstract requeue(attempt: NewAttempt, ending: AttemptEnding): Promise<void>;

  /** Ends an attempt and its job: `failed`, with `error` as what the application reads. */
  abstract fail(
    attempt: NewAttempt,
    containers: readonly string[],
    ending: AttemptEnding,
    error: string,
  ): Promise<void>;

  /** Takes a job away again that nobody was told about. */
  abstract withdraw(jobId: string): Promise<void>;
}
