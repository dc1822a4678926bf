import type { Attempt, AttemptEnding, NewJob } from '../dispatch/attempt-store.js';
import type { Place } from '../dispatch/places.js';
import { failureResult } from '../jobs/job-state.js';
import type { FinishedAttempt } from '../jobs/results-store.js';
import { keptStreamResult, truncatedStreamResult, wholeStreamResult } from '../jobs/stream-result.js';
import { isDatabaseUnavailable } from '../persistence/database-errors.js';
import type { Confirmation } from './confirmation.js';
import type { KeptOutput } from './kept-output.js';
import type { Listener } from './listener.js';
import type { StreamParts } from './stream-parts.js';

/** Ends a stream: first its row, which says how it went, then its connection, which does not. */
export class StreamEndings {
  /** Its end is decided, and committed or on its way to be. */
  settled = false;

  constructor(
    private readonly parts: StreamParts,
    private readonly job: NewJob,
    private readonly listener: Listener,
    private readonly kept: KeptOutput,
  ) {}

  /** The node says that all went well. */
  async succeed(
    attempt: Attempt,
    place: Place,
    { row }: Confirmation & { kind: 'row' },
    { broken, tookMs }: { broken: string | undefined; tookMs: number },
  ): Promise<void> {
    const { containers } = this.job;
    const { streamOutputBytes } = this.parts.settings;
    const result =
      row.result === undefined
        ? this.passedOn(broken === undefined)
        : keptStreamResult(row.result, streamOutputBytes);
    // How long a stream took says something of the node only if nobody held it up, and it ran what its kind says.
    const isTelling = broken === undefined && containers.length === 1 && this.listener.heldUpMs < tookMs / 10;
    place.leave(isTelling ? 'succeeded' : 'failed');
    await this.finish({ attempt, state: 'succeeded', reason: null, result, intermediate: null });
    if (broken === undefined) void this.listener.end();
    else void this.listener.cut();
  }

  /**
   * The result of which the node's row is too long to be kept, from what went to the caller.
   * @param all whether that is all that the node gave
   */
  private passedOn(all: boolean): Buffer {
    const { beginning, bytes } = this.kept;
    const container = this.job.containers[0] ?? '';
    if (all && beginning.length === bytes) return wholeStreamResult(container, beginning);
    return truncatedStreamResult(container, beginning, bytes);
  }

  /** The row says why; the caller is cut off. */
  async fail(attempt: Attempt, ending: AttemptEnding, error: string): Promise<void> {
    const { containers } = this.job;
    await this.finish({
      attempt,
      attemptState: ending.state,
      state: 'failed',
      reason: ending.reason,
      result: failureResult(containers, error),
      intermediate: null,
    });
    if (this.listener.begun) void this.listener.cut();
  }

  /** Without the database the end is committed when it is back; the caller is not made to wait for that. */
  async finish(finished: FinishedAttempt): Promise<void> {
    const { results, commits } = this.parts;
    this.settled = true;
    try {
      await results.finish(finished);
    } catch (error) {
      if (!isDatabaseUnavailable(error)) throw error;
      void commits.commit(() => results.finish(finished)).catch(() => undefined);
    }
  }

  /** The collector asks the node on. */
  handOver(attempt: Attempt, place: Place, nodeJobId: string): void {
    const { containers, traceparent } = this.job;
    this.settled = true;
    place.handOver();
    this.parts.dispatcher.emit('delivered', {
      attempt,
      jobKind: 'stream',
      containers,
      nodeJobId,
      certain: true,
      traceparent,
    });
  }
}
