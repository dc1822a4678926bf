/** What one metric is. docs/metrics.md says the same; a test compares. */
export interface MetricDefinition {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  /**
   * How several gateways on one database add up: each counts what it did itself (`sum`), or all say the same of what
   * they share (`max`). Series of a node come from the gateway that works with it.
   */
  readonly acrossReplicas: 'sum' | 'max';
  readonly help: string;
  /** Upper bounds, of histograms. */
  readonly buckets?: readonly number[];
}

const PREFIX = 'infernet_gateway_';

/** Seconds; from answers within a millisecond to jobs that take minutes. */
const SHORT = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const LONG = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600, 3600];
/** Few, because there is one histogram for each node and route. */
const OF_NODES = [0.01, 0.05, 0.1, 0.5, 1, 5, 10];
const COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500];

/** Every metric of the gateway itself; those of the process and of Node.js come from `processRegistry`. */
export const METRICS = {
  jobsAccepted: counter('jobs_accepted_total', [], 'Jobs that were committed and acknowledged'),
  jobsEnded: counter(
    'jobs_ended_total',
    ['outcome'],
    'Jobs that reached their end: `succeeded`, `failed` or `cancelled`',
  ),
  jobRetries: counter('job_retries_total', [], 'Jobs put back to go again after a failed attempt'),
  queueWait: histogram(
    'queue_wait_seconds',
    [],
    LONG,
    'From the arrival of a job until its first attempt was committed for a node',
  ),
  jobDuration: histogram('job_duration_seconds', ['outcome'], LONG, 'From the arrival of a job to its end'),
  attempts: counter(
    'attempts_total',
    ['node', 'outcome'],
    'Attempts that ended: `succeeded`, `failed`, `refused`, `limited` (429), `unreachable`, `error` (5xx), `lost`',
  ),
  nodeRequests: counter(
    'node_requests_total',
    ['node', 'route', 'outcome'],
    'Requests to nodes: `ok`, `limited` (429), `client_error` (4xx), `server_error` (5xx), `no_answer`',
  ),
  nodeLatency: histogram(
    'node_request_duration_seconds',
    ['node', 'route'],
    OF_NODES,
    'From sending a request to a node until the head of its answer, or until it failed',
  ),
  nodeService: histogram(
    'node_service_seconds',
    ['node'],
    LONG,
    "From a node's acceptance of a job until it was seen to have ended",
  ),
  collectorLag: histogram(
    'collector_lag_seconds',
    [],
    SHORT,
    'For how long at most a job had ended on its node before that was seen',
  ),
  commitGroup: histogram('commit_group_size', ['group'], COUNTS, 'Rows that one group commit wrote together'),
  commitDuration: histogram('commit_duration_seconds', ['group'], SHORT, 'How long one group commit took'),
  httpRequests: histogram(
    'http_request_duration_seconds',
    ['method', 'route', 'status'],
    SHORT,
    'Requests of callers by route template; `status` is `aborted` if the caller went away',
  ),
  jobs: gauge('jobs', ['state'], 'max', 'Unfinished jobs by state, as stored'),
  oldestQueued: gauge(
    'oldest_queued_seconds',
    [],
    'max',
    'Age of the oldest job that waits for a node; 0 if none',
  ),
  ready: gauge('ready', [], 'sum', '1 while `/ready` says 200'),
  nodes: gauge('nodes', ['state', 'health'], 'max', 'Registered nodes by state and health'),
  leases: gauge('leases_held', [], 'sum', 'Nodes that this gateway works with'),
  nodeUp: gauge('node_up', ['node'], 'max', '1 if the node answers its probes'),
  nodeInFlight: gauge('node_in_flight', ['node'], 'max', 'Jobs of ours on the node'),
  nodeForeign: gauge('node_foreign', ['node'], 'max', 'Unfinished work of others on the node'),
  nodeSlots: gauge('node_slots', ['node'], 'max', 'The most slots learned for any kind of job there'),
  nodeEjected: gauge('node_ejected', ['node'], 'max', '1 while failures keep the node out of the choice'),
  nodeEjections: counter(
    'node_ejections_total',
    ['node'],
    'How often failures ejected the node, or one kind of job there',
  ),
  budgetLimit: gauge(
    'node_budget_limit',
    ['node', 'route'],
    'max',
    "The node's rate limit: requests in a full bucket",
  ),
  budgetLeft: gauge('node_budget_left', ['node', 'route'], 'max', 'Requests left in that bucket'),
} as const satisfies Record<string, MetricDefinition>;

export type MetricKey = keyof typeof METRICS;

function counter(name: string, labels: readonly string[], help: string): MetricDefinition {
  return { name: PREFIX + name, type: 'counter', labels, acrossReplicas: 'sum', help };
}

function histogram(
  name: string,
  labels: readonly string[],
  buckets: readonly number[],
  help: string,
): MetricDefinition {
  return { name: PREFIX + name, type: 'histogram', labels, acrossReplicas: 'sum', help, buckets };
}

function gauge(
  name: string,
  labels: readonly string[],
  acrossReplicas: 'sum' | 'max',
  help: string,
): MetricDefinition {
  return { name: PREFIX + name, type: 'gauge', labels, acrossReplicas, help };
}
