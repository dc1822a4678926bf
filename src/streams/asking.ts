import { performance } from 'node:perf_hooks';
import { setImmediate as immediately, setTimeout as sleep } from 'node:timers/promises';
import { beginAttemptSpan } from '../dispatch/attempt-span.js';
import type { Attempt } from '../dispatch/attempt-store.js';
import type { Place } from '../dispatch/places.js';
import { admitInTime } from '../dispatch/submission.js';
import { arrivedAt } from '../metrics/metrics.js';
import type { FleetNode } from '../nodes/node.js';
import type { StreamReply } from '../nodes/stream-client.js';
import { withNodeJobId } from '../protocol/job-request.js';
import type { TracedSpan } from '../tracing/tracing.js';
import type { StreamParts, StreamRequest } from './stream-parts.js';

/** Pause after the lease of a chosen node was found lost: who has it now is heard of at its next renewal, in ms. */
const LOST_PLACE_PAUSE_MS = 500;
const NOWHERE: ReadonlySet<string> = new Set();

/** What a node said to being asked for the stream; undefined if it was removed meanwhile. */
export type Answer =
  | {
      readonly node: FleetNode;
      readonly reply: StreamReply;
      /** Of the attempt, from asking its node until its end is known. */
      readonly span: TracedSpan | undefined;
    }
  | undefined;

/** A node that was asked, and the place and the committed attempt there. */
export interface Asked {
  readonly place: Place;
  readonly attempt: Attempt;
  readonly answer: Promise<Answer>;
}

/** Finds places for one stream and asks their nodes. */
export class Asking {
  /** The node that is asked first, while that is being committed. */
  nodeId: string | undefined;
  private waitLeftMs: number;

  /** @param signal aborts when the stream is ended from outside */
  constructor(
    private readonly parts: StreamParts,
    private readonly request: StreamRequest,
    private readonly signal: AbortSignal,
  ) {
    this.waitLeftMs = parts.settings.streamWaitMs;
  }

  /**
   * Takes the first place and commits job and attempt there. The node is asked meanwhile: nobody is told an id before both
   * are done, and if the commit fails the node is let go again.
   * @returns undefined if there is no place in time
   * @throws whatever the store throws
   */
  async first(): Promise<Asked | undefined> {
    for (let isFirst = true; ; isFirst = false) {
      const place = await this.place(NOWHERE);
      if (place === undefined) return undefined;
      const asked = await this.askWhileCommitting(place, isFirst);
      if (asked !== undefined) return asked;
      if (this.waitLeftMs === 0 || this.signal.aborted) return undefined;
      const pauseMs = Math.min(LOST_PLACE_PAUSE_MS, this.waitLeftMs);
      await this.waiting(sleep(pauseMs, undefined, { signal: this.signal }).catch(() => undefined));
    }
  }

  /** A place on a node that was not tried yet, within what is left of the time that a stream may wait. */
  async place(tried: ReadonlySet<string>): Promise<Place | undefined> {
    const { places } = this.parts;
    const { job } = this.request;
    const now = places.findNow(job, tried);
    if (now !== undefined) return now;
    const timeUp = new AbortController();
    const timer = setTimeout(() => timeUp.abort(), this.waitLeftMs);
    const place = await this.waiting(places.find(job, tried, AbortSignal.any([timeUp.signal, this.signal])));
    clearTimeout(timer);
    return place;
  }

  /** Asks the node of an attempt. Never throws for what a node does. */
  async ask(attempt: Attempt): Promise<Answer> {
    const { client, settings, fleet } = this.parts;
    const { job, address } = this.request;
    const node = fleet.get(attempt.nodeId);
    if (node === undefined) return undefined;
    const span = beginAttemptSpan(job.traceparent, attempt, node);
    const on = { address, signal: this.signal, timeoutMs: settings.submitTimeoutMs };
    const reply = await client.open(node, withNodeJobId(job.body, attempt.id), on, span);
    return { node, reply, span };
  }

  /** What this takes counts against the time that the stream may wait. */
  private async waiting<T>(wait: Promise<T>): Promise<T> {
    const sinceMs = performance.now();
    const result = await wait;
    this.waitLeftMs = Math.max(0, this.waitLeftMs - (performance.now() - sinceMs));
    return result;
  }

  /** @returns undefined, with the place given back, if the lease of the node was lost */
  private async askWhileCommitting(place: Place, isFirst: boolean): Promise<Asked | undefined> {
    const { parts } = this;
    const { job } = this.request;
    const attempt = { ...place, id: job.id, jobId: job.id, number: 1 };
    this.nodeId = place.nodeId;
    const deadline = Date.now() + parts.settings.answerWithinMs;
    const admission = admitInTime(parts, job, attempt, deadline);
    // The commit leaves first, as it takes longer. While it is likely to fail, nodes are not made to work for nothing.
    const early = isFirst && parts.storeAnswers ? immediately().then(() => this.ask(attempt)) : undefined;
    let isAdmitted = false;
    try {
      isAdmitted = await admission;
      parts.storeAnswers = true;
    } catch (error) {
      parts.storeAnswers = false;
      throw error;
    } finally {
      if (!isAdmitted) {
        place.leave('gone');
        void early?.then(hangUp);
      }
    }
    if (!isAdmitted) return undefined;
    parts.metrics.jobPlaced(Date.now() - arrivedAt(job.id));
    return { place, attempt, answer: early ?? this.ask(attempt) };
  }
}

/** Nobody wants to hear more of this node. */
function hangUp(answer: Answer): void {
  answer?.span?.end({}, 'not committed');
  if (answer?.reply.kind === 'streaming') answer.reply.body.destroy();
}
