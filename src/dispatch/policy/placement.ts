import type { NodeFeature } from '../../protocol/node-info.js';
import type { RuleName, Why } from './rules.js';

/** What a job needs of a node. */
export interface JobNeeds {
  readonly id: string;
  readonly containers: readonly string[];
  /** What a node has to be able to do beyond running the containers; default nothing. */
  readonly features?: readonly NodeFeature[] | undefined;
  /** Nodes that have refused this job; it is not offered to them again. */
  readonly avoid?: readonly string[] | undefined;
  /** Nodes on which an attempt has failed; as long as another one may take the job it is not offered to these. */
  readonly shun?: readonly string[] | undefined;
  /**
   * Somebody waits on an open connection, as for a stream: it goes before all jobs that are not urgent, and spends its
   * caller's rate budget on the node, not the gateway's.
   */
  readonly urgent?: boolean | undefined;
}

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
