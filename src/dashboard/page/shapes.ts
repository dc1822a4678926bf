/** What the admin API answers, as far as the page reads it. Times are ISO 8601, durations ms. */

export interface NodeRow {
  readonly id: string;
  readonly url: string;
  readonly name: string;
  readonly state: 'active' | 'draining' | 'removing' | 'removed';
  readonly source: string;
  /** False for a node that gets no jobs before an operator approves it. */
  readonly approved: boolean;
  readonly weight: number;
  readonly maxInFlight: number | null;
  readonly health: 'unknown' | 'up' | 'down';
  readonly lastError: { readonly message: string; readonly at: string } | null;
  readonly inFlight: number;
  readonly foreign: number;
  readonly slots: number | null;
  readonly starting: boolean;
  readonly speed: number | null;
  readonly serviceMs: number | null;
  readonly budget: Readonly<Record<string, Budget>>;
  readonly containers: readonly string[];
}

/** A node in the answer to an action on it, as far as the page reads it. */
export type NodeDetail = Pick<
  NodeRow,
  'id' | 'url' | 'name' | 'state' | 'approved' | 'weight' | 'maxInFlight' | 'health' | 'lastError'
>;

export interface Budget {
  readonly limit: number;
  readonly left: number;
  readonly waitMs: number;
}

interface Quantiles {
  readonly p50: number | null;
  readonly p99: number | null;
}

export interface Period {
  readonly arrived: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly waitMs: Quantiles;
  readonly serviceMs: Quantiles;
}

export interface Totals {
  readonly at: string | null;
  readonly error: string | null;
  readonly jobs: Readonly<Record<'queued' | 'sending' | 'running' | 'retrying', number>>;
  readonly lastMinute: Period;
}

type Column = readonly (number | null)[];

/** The figures of one span after the other; all columns are of the same length. */
export interface Columns {
  readonly stepSeconds: number;
  /** When each span began, in seconds since 1970. */
  readonly at: readonly number[];
  readonly arrived: Column;
  readonly succeeded: Column;
  readonly failed: Column;
  readonly waiting: Column;
  readonly running: Column;
  readonly waitP50Ms: Column;
  readonly waitP99Ms: Column;
  readonly serviceP50Ms: Column;
  readonly serviceP99Ms: Column;
}

export type Stats = Totals & { readonly history: Columns };

export const JOB_STATES = [
  'queued',
  'sending',
  'running',
  'retrying',
  'succeeded',
  'failed',
  'cancelled',
] as const;

export type JobState = (typeof JOB_STATES)[number];

export interface JobRow {
  readonly id: string;
  readonly caller: string;
  readonly state: JobState;
  readonly containers: readonly string[];
  readonly generation: number;
  readonly failures: number;
  readonly createdAt: string;
  readonly finishedAt: string | null;
  readonly retryAt: string | null;
  readonly deadlineAt: string;
}

export interface JobPage {
  readonly jobs: readonly JobRow[];
  readonly cursor: string | null;
}

export interface JobDetail extends JobRow {
  readonly kind: 'job' | 'stream';
  readonly attempts: readonly unknown[];
  readonly results: readonly {
    readonly generation: number;
    readonly bytes: number;
    readonly preview: string;
  }[];
  readonly timeline: readonly { readonly at: string; readonly text: string }[];
}

export interface Explanation {
  readonly containers: readonly string[];
  readonly choice: { readonly id: string; readonly name: string | null } | null;
  readonly waiting: number;
  readonly nodes: readonly ExplainedNode[];
}

export interface ExplainedNode {
  readonly node: { readonly id: string; readonly name: string | null; readonly url: string | null };
  /** Null if another gateway decides about the node. */
  readonly eligible: boolean | null;
  readonly reason: string | null;
  readonly expectedMs?: number;
  readonly serviceMs?: number;
  readonly slots?: number;
  readonly window?: number | null;
  readonly outstanding: number;
  readonly foreign: number;
  readonly budgetInMs: number;
}
