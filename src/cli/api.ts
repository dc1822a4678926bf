/** What this command line reads of the admin API's answers; they hold more. Times are ISO texts. */

export interface NodeRow {
  readonly id: string;
  readonly name: string;
  readonly url: string;
  readonly state: 'active' | 'draining' | 'removing';
  readonly source: 'admin' | 'env' | 'file' | 'explorer';
  /** Whether it may have callers' data. */
  readonly approved: boolean;
  readonly weight: number;
  readonly maxInFlight: number | null;
  readonly labels: Readonly<Record<string, string>>;
  /** Names of the headers that are sent to it. */
  readonly headers: readonly string[];
  readonly health: 'unknown' | 'up' | 'down';
  readonly lastSeenAt: string | null;
  readonly lastError: { readonly message: string; readonly at: string } | null;
  readonly latencyMs: number | null;
  readonly version: string | null;
  readonly containers: readonly { readonly id: string }[];
  readonly inFlight: number;
  readonly foreign: number;
  readonly kinds: readonly {
    readonly containers: readonly string[];
    readonly slots: number;
    readonly starting: boolean;
    readonly serviceMs: number;
    readonly outstanding: number;
  }[];
}

export const JOB_STATES = [
  'queued',
  'sending',
  'running',
  'retrying',
  'succeeded',
  'failed',
  'cancelled',
] as const;

export interface JobRow {
  readonly id: string;
  readonly caller: string;
  readonly state: (typeof JOB_STATES)[number];
  readonly containers: readonly string[];
  readonly generation: number;
  readonly failures: number;
  readonly createdAt: string;
  readonly finishedAt: string | null;
  readonly deadlineAt: string | null;
}

export interface JobPage {
  readonly jobs: readonly JobRow[];
  readonly cursor: string | null;
}

export interface JobDetails extends JobRow {
  readonly attempts: readonly {
    readonly node: { readonly id: string; readonly name: string | null };
    readonly state: string;
  }[];
  readonly results: readonly {
    readonly generation: number;
    readonly bytes: number;
    readonly preview: string;
  }[];
  readonly timeline: readonly { readonly at: string; readonly text: string }[];
}

export interface Explanation {
  readonly containers: readonly string[];
  /** Among the nodes of the gateway that answers. */
  readonly choice: { readonly id: string; readonly name: string | null } | null;
  /** Jobs that wait for these containers, another one included. */
  readonly waiting: number;
  readonly nodes: readonly {
    readonly node: { readonly id: string; readonly name: string | null };
    /** Null if another gateway decides about the node. */
    readonly eligible: boolean | null;
    readonly reason: string | null;
    readonly expectedMs?: number;
    readonly serviceMs?: number;
    readonly slots?: number;
    readonly outstanding: number;
    readonly foreign: number;
  }[];
}
