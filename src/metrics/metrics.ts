/** How an attempt ended, as far as the gateway that made it saw. */
export const ATTEMPT_OUTCOMES = [
  'succeeded',
  'failed',
  'refused',
  'limited',
  'unreachable',
  'error',
  'lost',
] as const;
export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number];

/** How a request to a node ended. */
export const REPLY_OUTCOMES = ['ok', 'limited', 'client_error', 'server_error', 'no_answer'] as const;
export type ReplyOutcome = (typeof REPLY_OUTCOMES)[number];

export type JobOutcome = 'succeeded' | 'failed' | 'cancelled';

/**
 * What is worth counting, told by whoever sees it happen. Nodes go by their names, times are in ms. Methods are called on
 * hot paths: they return at once and never throw.
 */
export abstract class Metrics {
  /** A job was committed and its id is being answered. */
  abstract jobAccepted(): void;
  /** A job reached its end. @param ageMs since its arrival */
  abstract jobEnded(outcome: JobOutcome, ageMs: number): void;
  /** An attempt failed and the job will go again. */
  abstract jobRetried(): void;
  /** A job's first attempt was committed. @param waitedMs since its arrival */
  abstract jobPlaced(waitedMs: number): void;
  abstract attemptEnded(node: string, outcome: AttemptOutcome): void;
  /** @param route one of the node's, as its rate limiter names them */
  abstract nodeReplied(node: string, route: string, outcome: ReplyOutcome, tookMs: number): void;
  /**
   * The end of a job was seen on a node.
   * @param serviceMs since the node had accepted it
   * @param unseenMs for how long at most it had been over
   */
  abstract endSeen(node: string, serviceMs: number, unseenMs: number): void;
  abstract groupCommitted(group: string, rows: number, tookMs: number): void;
  /** @param route the template, never the path itself */
  abstract requestAnswered(method: string, route: string, status: string, tookMs: number): void;
  /** The node was removed or has another name now: nothing more is told of this one. */
  abstract nodeGone(node: string): void;
}

/** Counts nothing. */
export class NoMetrics extends Metrics {
  jobAccepted(): void {}
  jobEnded(): void {}
  jobRetried(): void {}
  jobPlaced(): void {}
  attemptEnded(): void {}
  nodeReplied(): void {}
  endSeen(): void {}
  groupCommitted(): void {}
  requestAnswered(): void {}
  nodeGone(): void {}
}

/** When a job arrived, from its id, a UUIDv7; on the clock of `Date.now()`. */
export function arrivedAt(jobId: string): number {
  return Number.parseInt(jobId.slice(0, 8) + jobId.slice(9, 13), 16);
}
