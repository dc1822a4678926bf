import type { Refusal } from '../dispatch/attempt-loop.js';
import type { AttemptStore, NewJob } from '../dispatch/attempt-store.js';
import type { Commits } from '../persistence/commits.js';
import type { Dispatcher } from '../dispatch/dispatcher.js';
import type { ResultsStore } from '../jobs/results-store.js';
import type { Metrics } from '../metrics/metrics.js';
import type { Fleet } from '../nodes/fleet.js';
import type { StreamClient } from '../nodes/stream-client.js';
import type { Settings } from '../config/settings.js';
import type { StreamPlaces } from './stream-places.js';

/** What a stream works with. */
export interface StreamParts {
  readonly settings: Settings;
  readonly places: StreamPlaces;
  readonly dispatcher: Dispatcher;
  readonly commits: Commits;
  readonly store: AttemptStore;
  readonly results: ResultsStore;
  readonly client: StreamClient;
  readonly fleet: Fleet;
  readonly metrics: Metrics;
  /** Whether the last new stream could be stored. */
  storeAnswers: boolean;
}

/** A stream as it was asked for. */
export interface StreamRequest {
  readonly job: NewJob;
  /** The caller's, for the node's rate limiter. */
  readonly address: string;
}

/** Nothing was sent to the caller, and this is why. */
export interface StreamRefusal extends Refusal {
  readonly retryAfterSeconds?: number;
}

/** Why a stream is ended from outside. `error` is for its caller, `reason` for operators. */
export interface Halt {
  readonly error: string;
  readonly reason: string;
}
