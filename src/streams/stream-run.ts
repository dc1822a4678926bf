import { performance } from 'node:perf_hooks';
import { v7 as uuidv7 } from 'uuid';
import type { Settings } from '../config/settings.js';
import type { Attempt, AttemptEnding, AttemptStore, NewJob } from '../dispatch/attempt-store.js';
import type { Refusal } from '../dispatch/attempt-loop.js';
import { beginAttemptSpan } from '../dispatch/attempt-span.js';
import type { Dispatcher } from '../dispatch/dispatcher.js';
import type { Place } from '../dispatch/places.js';
import { messageOf } from '../errors.js';
import { failureResult } from '../jobs/job-state.js';
import type { FinishedAttempt, ResultsStore } from '../jobs/results-store.js';
import { keptStreamResult, truncatedStreamResult } from '../jobs/stream-result.js';
import { arrivedAt, type Metrics } from '../metrics/metrics.js';
import type { Fleet } from '../nodes/fleet.js';
import type { FleetNode } from '../nodes/node.js';
import type { StreamClient, StreamReply } from '../nodes/stream-client.js';
import { isDatabaseUnavailable } from '../persistence/database-errors.js';
import { withNodeJobId } from '../protocol/job-request.js';
import type { TracedSpan } from '../tracing/tracing.js';
import { verdictOf } from '../results/verdict.js';
import { STATUS } from '../http/status.js';
import { confirm, type Confirmation } from './confirmation.js';
import { IdLine } from './id-line.js';
import { KeptOutput } from './kept-output.js';
import type { Listener } from './listener.js';
import type { StreamPlaces } from './stream-places.js';

/** What a stream works with. */
export interface StreamParts {
  readonly settings: Settings;
  readonly places: StreamPlaces;
  readonly dispatcher: Dispatcher;
  readonly store: AttemptStore;
  readonly results: ResultsStore;
  readonly client: StreamClient;
  readonly fleet: Fleet;
  readonly metrics: Metrics;
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

/** How a stream came to nothing on one node, so that it goes to the next. */
interface Miss {
  readonly ending: AttemptEnding;
  /** For the caller, if it was the last node. */
  readonly error: string;
  readonly refusal?: Refusal;
  /** A JSON 5xx. */
  readonly erred?: boolean;
  /** 429: when the caller's budget at this node has something again, in ms. */
  readonly pauseMs?: number;
}

/** The JSON 5xx answers after which a request counts as at fault itself; as in the attempt loop. */
const ERRORS_MEAN_REFUSED = 2;
/** Leases lost between choosing and committing, before the stream gives up. */
const MOST_LOST_PLACES = 3;

/**
 * One stream, from its request to its end. One attempt per turn: place → commit → ask → relay → confirm.
 *
 * | phase | the caller has | a failure of the node leads to |
 * |---|---|---|
 * | waiting for a place | nothing | 503 when the time is up; no row was made |
 * | asked the node | nothing | the next node; in the end the node's refusal, or 503; the row is taken away |
 * | the node answered 200 | status and id line | the next node; in the end a cut and a failed row |
 * | the first byte of output went out | output | a cut and a failed row |
 * | the node's bytes ended | all output | asked how it ended: success → clean end; failed or unknown → a cut |
 *
 * Whatever the connection is told, the row is told before: it says how the stream ended. A stream of which the node gave no
 * account is left to the collector, which asks on; one that nobody can give an account of is failed, never run again.
 */
export class StreamRun {
  private readonly halting = new AbortController();
  private halted: Halt | undefined;
  private readonly tried = new Set<string>();
  private readonly misses: Miss[] = [];
  private readonly kept: KeptOutput;
  private waitLeftMs: number;
  private place: Place | undefined;
  private attempt: Attempt | undefined;
  /** Of the attempt that is under way, from asking its node until its end is known. */
  private span: TracedSpan | undefined;
  /** Output has gone to the caller: the stream is bound to its node. */
  private relaying = false;
  private accepted = false;
  /** Its row was taken away again: it was never there, for anybody. */
  private withdrawn = false;
  /** Its end is decided, and committed or on its way to be. */
  private settled = false;

  constructor(
    private readonly parts: StreamParts,
    private readonly request: StreamRequest,
    private readonly listener: Listener,
  ) {
    this.kept = new KeptOutput(parts.settings.streamOutputBytes);
    this.waitLeftMs = parts.settings.streamWaitMs;
  }

  get id(): string {
    return this.request.job.id;
  }

  /** The node that has it now. */
  get nodeId(): string | undefined {
    return this.place?.nodeId;
  }

  /** Ends it now, whatever it is doing. Only the first call counts. */
  halt(why: Halt): void {
    if (this.halted !== undefined) return;
    this.halted = why;
    this.halting.abort();
    this.listener.letGo();
  }

  /**
   * Carries the stream out. Never more than one node works for it.
   * @returns why nothing was sent to the caller; undefined if something was, or nobody is there any more
   * @throws whatever the store throws, when nothing was sent to the caller
   */
  async run(): Promise<StreamRefusal | undefined> {
    try {
      const refusal = await this.go();
      if (!this.withdrawn) this.accept();
      return refusal;
    } catch (error) {
      // The attempt stays open, and is taken up by whoever looks for such.
      this.accept();
      this.place?.leave('gone');
      if (!this.listener.begun) throw error;
      void this.listener.cut();
      return undefined;
    }
  }

  /** Counts it, once, when its row is there to stay: it will be counted when it ends, however. */
  private accept(): void {
    if (this.accepted || this.attempt === undefined) return;
    this.accepted = true;
    this.parts.metrics.jobAccepted();
  }

  private async go(): Promise<StreamRefusal | undefined> {
    if (!(await this.begin())) return this.without();
    for (;;) {
      const { attempt, place } = this.current();
      this.tried.add(place.nodeId);
      const miss = await this.turn(attempt, place);
      if (this.isHalted() && !this.settled) return this.stopped(attempt, place);
      if (miss === undefined) return undefined;
      this.misses.push(miss);
      const next = await this.nextPlace();
      if (this.isHalted()) next?.leave('gone');
      if (next === undefined || this.isHalted()) return this.withoutNext(attempt, miss);
      const nextAttempt = { ...next, id: uuidv7(), jobId: this.id, number: attempt.number + 1 };
      this.place = next;
      if (!(await this.parts.store.moveOn(attempt, miss.ending, nextAttempt))) {
        // Cancelled, or the lease was lost: what the row says is the end of it.
        next.leave('gone');
        return this.giveUp('The stream was ended by the gateway');
      }
      this.attempt = nextAttempt;
    }
  }

  /** Takes the first place and commits job and attempt there. */
  private async begin(): Promise<boolean> {
    const { job } = this.request;
    const { dispatcher, settings } = this.parts;
    for (let lost = 0; lost < MOST_LOST_PLACES; lost += 1) {
      const place = await this.wait();
      if (place === undefined) return false;
      this.place = place;
      const attempt = { ...place, id: job.id, jobId: job.id, number: 1 };
      if (await dispatcher.admitInTime(job, attempt, Date.now() + settings.answerWithinMs)) {
        this.attempt = attempt;
        this.parts.metrics.jobPlaced(Date.now() - arrivedAt(job.id));
        return true;
      }
      place.leave('gone');
    }
    return false;
  }

  /** One attempt. @returns how it came to nothing; undefined if it is the end of the stream */
  private async turn(attempt: Attempt, place: Place): Promise<Miss | undefined> {
    const node = this.parts.fleet.get(place.nodeId);
    if (node === undefined) {
      place.leave('gone');
      return missOf({ kind: 'unreachable', reason: 'the node was removed' });
    }
    this.span = beginAttemptSpan(this.request.job.traceparent, attempt, node);
    try {
      const miss = await this.ask(node, attempt, place);
      this.span?.end({}, this.halted?.reason ?? miss?.ending.state);
      return miss;
    } catch (error) {
      this.span?.end({}, 'error');
      throw error;
    }
  }

  private async ask(node: FleetNode, attempt: Attempt, place: Place): Promise<Miss | undefined> {
    const { client, settings } = this.parts;
    const { job, address } = this.request;
    const on = { address, signal: this.halting.signal, timeoutMs: settings.submitTimeoutMs };
    const reply = await client.open(node, withNodeJobId(job.body, attempt.id), on, this.span);
    if (reply.kind !== 'streaming') {
      if (!this.isHalted()) place.leave('gone', reply.kind === 'unreachable' || reply.kind === 'unclear');
      return missOf(reply);
    }
    place.accepted();
    this.accept();
    if (!this.listener.begun) this.listener.begin(this.id, reply.contentType);
    return this.relay(node, attempt, place, reply.body);
  }

  private async relay(
    node: FleetNode,
    attempt: Attempt,
    place: Place,
    body: AsyncIterable<Buffer>,
  ): Promise<Miss | undefined> {
    const startedAt = performance.now();
    const line = new IdLine();
    let broken: string | undefined;
    const { containerTimeoutMs, runningGraceMs } = this.parts.settings;
    const limitMs = containerTimeoutMs + runningGraceMs;
    const limit = setTimeout(() => this.halt(tooLong(limitMs)), limitMs);
    try {
      for await (const chunk of body) {
        const known = line.id !== undefined;
        const output = line.strip(chunk);
        if (!known && line.id !== undefined) await this.record(attempt, line.id);
        if (output.length > 0) await this.pass(place, output);
        if (this.isHalted()) break;
      }
      if (line.id === undefined) broken = 'it ended before its id line';
    } catch (error) {
      broken = messageOf(error);
    } finally {
      clearTimeout(limit);
    }
    if (this.isHalted()) return undefined;
    const tookMs = performance.now() - startedAt;
    return this.conclude(node, attempt, place, { nodeJobId: line.id ?? attempt.id, broken, tookMs });
  }

  private async pass(place: Place, output: Buffer): Promise<void> {
    if (!this.relaying) {
      place.started();
      this.span?.mark('first output');
    }
    this.relaying = true;
    this.kept.add(output);
    await this.listener.write(output);
  }

  /** With our own id the node can be asked after a crash, so nothing hangs on this commit. */
  private async record(attempt: Attempt, nodeJobId: string): Promise<void> {
    const foreignId = nodeJobId === attempt.id ? undefined : nodeJobId;
    const committed = this.parts.store.accepted(attempt, foreignId);
    if (foreignId === undefined) committed.catch(() => undefined);
    else await committed;
  }

  /** The node's bytes have ended, cleanly or not. */
  private async conclude(
    node: FleetNode,
    attempt: Attempt,
    place: Place,
    { nodeJobId, broken, tookMs }: { nodeJobId: string; broken: string | undefined; tookMs: number },
  ): Promise<Miss | undefined> {
    const { settings, client } = this.parts;
    const word = await confirm(client, {
      node,
      nodeJobId,
      address: this.request.address,
      signal: this.halting.signal,
      keepBytes: Math.max(settings.streamOutputBytes, 65_536),
      timeoutMs: settings.submitTimeoutMs,
      ended: broken === undefined,
    });
    if (this.isHalted()) return undefined;
    if (word.kind === 'row' && word.row.status === 'success' && (broken === undefined || this.relaying)) {
      await this.succeed(attempt, place, word, { broken, tookMs });
      return undefined;
    }
    if (word.kind === 'row' && word.row.status === 'failed')
      return this.failed(attempt, place, word.row.result);
    const { error, reason, fault } = lossOf(word, broken, tookMs);
    if (!this.relaying) {
      place.leave('gone', fault);
      return { ending: { state: 'lost', reason }, error };
    }
    if (word.kind === 'unknown' && broken === undefined) {
      // All output is there, and only the node's word is missing: the collector asks on.
      this.handOver(attempt, place, nodeJobId);
      void this.listener.cut();
      return undefined;
    }
    place.leave(fault ? 'gone' : 'failed', fault);
    await this.fail(attempt, { state: 'lost', reason }, error);
    return undefined;
  }

  private async succeed(
    attempt: Attempt,
    place: Place,
    { row }: Confirmation & { kind: 'row' },
    { broken, tookMs }: { broken: string | undefined; tookMs: number },
  ): Promise<void> {
    const { containers } = this.request.job;
    const { streamOutputBytes } = this.parts.settings;
    const result =
      row.result === undefined
        ? truncatedStreamResult(containers[0] ?? '', this.kept.beginning, this.kept.bytes)
        : keptStreamResult(row.result, streamOutputBytes);
    // How long a stream took says something of the node only if nobody held it up, and it ran what its kind says.
    const isTelling = broken === undefined && containers.length === 1 && this.listener.heldUpMs < tookMs / 10;
    place.leave(isTelling ? 'succeeded' : 'failed');
    await this.finish({ attempt, state: 'succeeded', reason: null, result, intermediate: null });
    if (broken === undefined) void this.listener.end();
    else void this.listener.cut();
  }

  /** The node says that it failed: by the container's own doing, or for a reason that another node may not have. */
  private async failed(
    attempt: Attempt,
    place: Place,
    result: Buffer | undefined,
  ): Promise<Miss | undefined> {
    const { containers } = this.request.job;
    const bytes =
      result ?? failureResult(containers, 'The container failed with a message too long to be kept');
    const row = { id: attempt.id, status: 'failed', result: bytes, intermediate: undefined } as const;
    const verdict = verdictOf(row, containers, this.parts.settings.errorWhen);
    const isInfrastructure = verdict.kind === 'retry';
    place.leave(isInfrastructure && verdict.blamesNode ? 'faulted' : 'failed');
    const reason = isInfrastructure ? verdict.reason : 'the container failed';
    const error = 'The container could not be used';
    if (isInfrastructure && !this.relaying) return { ending: { state: 'failed', reason }, error };
    if (isInfrastructure) {
      await this.fail(attempt, { state: 'failed', reason }, error);
      return undefined;
    }
    await this.finish({ attempt, state: 'failed', reason, result: bytes, intermediate: null });
    void this.listener.cut();
    return undefined;
  }

  private async stopped(attempt: Attempt, place: Place): Promise<StreamRefusal | undefined> {
    const { error, reason } = this.halted as Halt;
    place.leave('gone');
    await this.fail(attempt, { state: 'failed', reason }, error);
    return this.listener.begun
      ? undefined
      : { status: STATUS.NO_ROOM, error, params: {}, retryAfterSeconds: 1 };
  }

  private async fail(attempt: Attempt, ending: AttemptEnding, error: string): Promise<void> {
    const { containers } = this.request.job;
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
  private async finish(finished: FinishedAttempt): Promise<void> {
    const { results, dispatcher } = this.parts;
    this.settled = true;
    try {
      await results.finish(finished);
    } catch (error) {
      if (!isDatabaseUnavailable(error)) throw error;
      void dispatcher.commit(() => results.finish(finished)).catch(() => undefined);
    }
  }

  private handOver(attempt: Attempt, place: Place, nodeJobId: string): void {
    const { containers, traceparent } = this.request.job;
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

  /** No place was found, and no row made. */
  private without(): StreamRefusal {
    const { halted } = this;
    const seconds = Math.round(this.parts.settings.streamWaitMs / 1_000);
    const error = halted?.error ?? `No node had room for the stream within ${seconds} s`;
    return { status: STATUS.NO_ROOM, error, params: {}, retryAfterSeconds: 1 };
  }

  /** No node is left to try: what the nodes said is passed on, if the caller can still be told. */
  private async withoutNext(attempt: Attempt, miss: Miss): Promise<StreamRefusal | undefined> {
    const { halted, misses } = this;
    const refusal =
      halted === undefined ? misses.find((one) => one.refusal !== undefined)?.refusal : undefined;
    const error = halted?.error ?? refusal?.error ?? miss.error;
    const ending = halted === undefined ? miss.ending : { ...miss.ending, reason: halted.reason };
    if (this.listener.begun) {
      await this.fail(attempt, ending, error);
      return undefined;
    }
    await this.parts.store.withdraw(this.id);
    this.withdrawn = true;
    if (refusal !== undefined) return refusal;
    const pauses = misses.map(({ pauseMs }) => pauseMs).filter((pauseMs) => pauseMs !== undefined);
    const retryAfterSeconds = pauses.length === 0 ? 1 : Math.max(1, Math.ceil(Math.min(...pauses) / 1_000));
    return { status: STATUS.NO_ROOM, error, params: {}, retryAfterSeconds };
  }

  private giveUp(error: string): StreamRefusal | undefined {
    if (!this.listener.begun) return { status: STATUS.NO_ROOM, error, params: {}, retryAfterSeconds: 1 };
    void this.listener.cut();
    return undefined;
  }

  private async nextPlace(): Promise<Place | undefined> {
    const errors = this.misses.filter(({ erred }) => erred === true).length;
    if (errors >= ERRORS_MEAN_REFUSED) return undefined;
    if (this.parts.places.candidates(this.request.job, this.tried).length === 0) return undefined;
    return this.wait();
  }

  /** A place, within what is left of the time that a stream may wait. */
  private async wait(): Promise<Place | undefined> {
    const sinceMs = performance.now();
    const timeUp = new AbortController();
    const timer = setTimeout(() => timeUp.abort(), this.waitLeftMs);
    const signal = AbortSignal.any([timeUp.signal, this.halting.signal]);
    const place = await this.parts.places.find(this.request.job, this.tried, signal);
    clearTimeout(timer);
    this.waitLeftMs = Math.max(0, this.waitLeftMs - (performance.now() - sinceMs));
    return place;
  }

  private current(): { attempt: Attempt; place: Place } {
    const { attempt, place } = this;
    if (attempt === undefined || place === undefined) throw new Error('the stream has no attempt');
    return { attempt, place };
  }

  private isHalted(): boolean {
    return this.halted !== undefined;
  }
}

function missOf(reply: Exclude<StreamReply, { kind: 'streaming' }>): Miss {
  const { reason } = reply;
  switch (reply.kind) {
    case 'unreachable':
      return {
        ending: { state: 'unreachable', reason: `could not reach the node: ${reason}` },
        error: 'No node could be reached',
      };
    case 'unclear':
      return {
        ending: { state: 'lost', reason: `no answer after the request was sent: ${reason}` },
        error: 'The node did not answer',
      };
    case 'refused':
      return {
        ending: { state: 'refused', reason: `refused: ${reason}` },
        error: reason,
        refusal: { status: reply.status, error: reason, params: reply.params },
      };
    case 'limited':
      return {
        ending: { state: 'unreachable', reason: `the node would not take it now: ${reason}` },
        error: 'Your budget at the nodes is spent for the moment',
        pauseMs: reply.pauseMs,
      };
    case 'error':
      return {
        ending: { state: 'failed', reason: `the node answered ${reason}` },
        error: reason,
        refusal: { status: 400, error: reason, params: {} },
        erred: true,
      };
  }
}

/** What became of a stream of which the node does not say that it ended. */
function lossOf(
  word: Confirmation,
  broken: string | undefined,
  tookMs: number,
): { error: string; reason: string; fault: boolean } {
  const seconds = `${(tookMs / 1_000).toFixed(1)} s`;
  if (word.kind === 'row') {
    // It still runs, or ended in a way that nobody was told of: the node has given up passing it on.
    const error = `The node cut the stream after ${seconds}, before the container had finished; nodes do so after 60 s`;
    return { error, reason: `the node cut the stream after ${seconds}`, fault: false };
  }
  const how = broken === undefined ? 'the stream ended' : `the connection broke after ${seconds} (${broken})`;
  if (word.kind === 'absent') {
    const reason = `${how}, and the node does not know the job any more`;
    return { error: `The node lost the stream after ${seconds}`, reason, fault: false };
  }
  const reason = `${how}, and the node does not say how it ended: ${word.reason}`;
  return { error: `The connection to the node broke after ${seconds}`, reason, fault: true };
}

function tooLong(limitMs: number): Halt {
  const error = `The stream ran for more than ${Math.round(limitMs / 1_000)} s`;
  return { error, reason: error };
}
