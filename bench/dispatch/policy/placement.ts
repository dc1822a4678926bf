import type { JobNeeds } from './held-jobs.js';
import type { RuleName, Why } from './rules.js';

/** What a choice rested on, for the job's timeline. Times in ms. */
export interface Decision {
  readonly why: Why;
  readonly expectedMs: number;
  readonly serviceMs: number;
  /** Jobs of its kind that were there already. */
  readonly ahead: number;
  readonly slots: number;
  readonly window: number;
  readonly foreign: number;
  /** Jobs that waited for the same containers, this one included. */
  readonly waiting: number;
}

/** A job that goes to a node now, and is counted there. */
export interface Placement {
  readonly job: JobNeeds;
  readonly nodeId: string;
  readonly decision: Decision;
}

export interface PolicyOptions {
  /** Default `learned`; the others are there to be compared with. */
  readonly rule?: RuleName;
  /** Submissions that may be open at one node; more would only queue up in front of its single event loop. */
  readonly maxUnanswered?: number;
}
