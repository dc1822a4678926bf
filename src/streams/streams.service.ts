import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { AttemptStore } from '../dispatch/attempt-store.js';
import { Commits } from '../persistence/commits.js';
import { Dispatcher } from '../dispatch/dispatcher.js';
import { GatewayError, messageOf } from '../errors.js';
import { JobEvents } from '../jobs/job-events.js';
import { JobsRepository } from '../jobs/jobs.repository.js';
import { ResultsStore } from '../jobs/results-store.js';
import { Metrics } from '../metrics/metrics.js';
import { Fleet } from '../nodes/fleet.js';
import { StreamClient } from '../nodes/stream-client.js';
import type { JobRequest } from '../protocol/job-request.js';
import type { NodeFeature } from '../protocol/node-info.js';
import { currentTraceparent } from '../tracing/tracing.js';
import { Listener, type Loss } from './listener.js';
import { StreamPlaces } from './stream-places.js';
import type { Halt, StreamParts, StreamRefusal } from './stream-parts.js';
import { StreamRun } from './stream-run.js';
import { uuidv7 } from '../protocol/uuid.js';

const LOSSES: Readonly<Record<Loss, Halt>> = {
  gone: { error: 'The caller went away before the stream had ended', reason: 'the caller went away' },
  slow: { error: 'The caller read too slowly', reason: 'the caller read too slowly' },
};
const SHUTDOWN: Halt = {
  error: 'The gateway was stopped before the stream had ended',
  reason: 'the gateway was stopped',
};
const CANCELLED: Halt = {
  error: 'The stream was cancelled by an operator',
  reason: 'cancelled by an operator',
};
const REMOVED: Halt = {
  error: 'The node was removed while it streamed',
  reason: 'the node was removed by an operator',
};

/** The streams that this replica relays. */
@Injectable()
export class StreamsService implements StreamParts {
  private readonly log = new Logger(StreamsService.name);
  private readonly runs = new Map<string, { run: StreamRun; over: Promise<unknown> }>();
  private stopping = false;
  storeAnswers = true;

  constructor(
    readonly settings: Settings,
    readonly places: StreamPlaces,
    readonly dispatcher: Dispatcher,
    readonly commits: Commits,
    readonly store: AttemptStore,
    readonly results: ResultsStore,
    readonly client: StreamClient,
    readonly fleet: Fleet,
    readonly metrics: Metrics,
    private readonly jobs: JobsRepository,
    events: JobEvents,
  ) {
    events.on('finished', (jobId) => void this.stopIfCancelled(jobId));
    fleet.on('left', (node) => {
      for (const { run } of this.runs.values()) if (run.nodeId === node.id) run.halt(REMOVED);
    });
  }

  /** How many are open. */
  get open(): number {
    return this.runs.size;
  }

  /**
   * Streams a job's output to `response` until it ends. @returns why nothing was sent; undefined if something was
   * @throws GatewayError SHUTTING_DOWN; whatever the store throws, when nothing was sent
   */
  async relay(
    request: JobRequest,
    from: { readonly caller: string; readonly address: string },
    response: ServerResponse,
  ): Promise<StreamRefusal | undefined> {
    if (this.stopping) throw new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down');
    const features: NodeFeature[] = request.requiresProof ? ['stream', 'proof'] : ['stream'];
    const refused = this.fleet.refusalFor(request.containers, features);
    if (refused !== undefined) return { status: 405, ...refused };
    const id = uuidv7();
    const { caller } = from;
    const traceparent = currentTraceparent();
    const job = { ...request, id, kind: 'stream', caller, features, urgent: true, traceparent } as const;
    const listener = new Listener(response, this.settings.streamStallMs, (loss) => run.halt(LOSSES[loss]));
    const run = new StreamRun(this, { job, address: from.address }, listener);
    const over = run.run();
    this.runs.set(id, { run, over: over.catch(() => undefined) });
    try {
      return await over;
    } finally {
      this.runs.delete(id);
      const node = this.fleet.get(run.nodeId ?? '');
      // Whoever waits for the node to be idle looks at it when it has changed.
      if (node?.config.state === 'removing') this.fleet.emit('changed', node);
    }
  }

  /** Gives running streams the budget to end by themselves, then cuts them; their rows say why. Safe twice. */
  async stop(budgetMs: number): Promise<void> {
    this.stopping = true;
    const over = Promise.all([...this.runs.values()].map((one) => one.over));
    await Promise.race([over, sleep(budgetMs, undefined, { ref: false })]);
    for (const { run } of this.runs.values()) run.halt(SHUTDOWN);
    await over;
  }

  private async stopIfCancelled(jobId: string): Promise<void> {
    const run = this.runs.get(jobId)?.run;
    if (run === undefined || run.isEnding) return;
    try {
      if ((await this.jobs.stateOf(jobId)) === 'cancelled') run.halt(CANCELLED);
    } catch (error) {
      this.log.warn(`It is not known whether stream ${jobId} was cancelled: ${messageOf(error)}`);
    }
  }
}
