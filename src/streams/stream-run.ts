import { performance } from 'node:perf_hooks';
import type { Readable } from 'node:stream';
import type { Attempt } from '../dispatch/attempt-store.js';
import type { Place } from '../dispatch/places.js';
import { messageOf } from '../errors.js';
import { STATUS } from '../http/status.js';
import { failureResult } from '../jobs/job-state.js';
import type { FleetNode } from '../nodes/node.js';
import type { TracedSpan } from '../tracing/tracing.js';
import { verdictOf } from '../results/verdict.js';
import { Asking, type Answer, type Asked } from './asking.js';
import { eachChunk } from './chunks.js';
import { confirm } from './confirmation.js';
import { IdLine } from './id-line.js';
import { KeptOutput } from './kept-output.js';
import type { Listener } from './listener.js';
import { lossOf, missOf, tooLong, type Miss } from './misses.js';
import { StreamEndings } from './stream-endings.js';
import type { Halt, StreamParts, StreamRefusal, StreamRequest } from './stream-parts.js';
import { uuidv7 } from '../protocol/uuid.js';

/** The JSON 5xx answers after which a request counts as at fault itself; as in the attempt loop. */
const ERRORS_MEAN_REFUSED = 2;
/**
 * One stream, from its request to its end. One attempt per turn: place → commit → ask → relay → confirm. At first the
 * node is asked while the commit is under way, as nobody is told an id before both are done; if the commit fails, what
 * the node says is dropped (docs/decisions/0021-streams-sooner.md).
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
  private place: Place | undefined;
  private attempt: Attempt | undefined;
  /** Of the attempt that is under way, from asking its node until its end is known. */
  private span: TracedSpan | undefined;
  /** Output has gone to the caller: the stream is bound to its node. */
  private relaying = false;
  private accepted = false;
  /** Its row was taken away again: it was never there, for anybody. */
  private withdrawn = false;
  private readonly asking: Asking;
  private readonly endings: StreamEndings;

  constructor(
    private readonly parts: StreamParts,
    private readonly request: StreamRequest,
    private readonly listener: Listener,
  ) {
    this.kept = new KeptOutput(parts.settings.streamOutputBytes);
    this.asking = new Asking(parts, request, this.halting.signal);
    this.endings = new StreamEndings(parts, request.job, listener, this.kept);
  }

  get id(): string {
    return this.request.job.id;
  }

  /** How it ends is decided, and nothing changes that. */
  get isEnding(): boolean {
    return this.endings.settled;
  }

  /** The node that has it now. */
  get nodeId(): string | undefined {
    return this.place?.nodeId ?? this.asking.nodeId;
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
    let asked = await this.asking.first();
    if (asked === undefined) return this.without();
    for (;;) {
      const { place, attempt } = asked;
      this.place = place;
      this.attempt = attempt;
      this.tried.add(place.nodeId);
      const miss = await this.turn(asked);
      if (this.isHalted() && !this.endings.settled) return this.stopped(attempt, place);
      if (miss === undefined) return undefined;
      this.misses.push(miss);
      const next = await this.nextPlace();
      if (this.isHalted()) next?.leave('gone');
      if (next === undefined || this.isHalted()) return this.withoutNext(attempt, miss);
      const nextAttempt: Attempt = { ...next, id: uuidv7(), jobId: this.id, number: attempt.number + 1 };
      this.place = next;
      if (!(await this.parts.store.moveOn(attempt, miss.ending, nextAttempt))) {
        next.leave('gone');
        return this.giveUp(attempt, miss);
      }
      asked = { place: next, attempt: nextAttempt, answer: this.asking.ask(nextAttempt) };
    }
  }

  /** One attempt. @returns how it came to nothing; undefined if it is the end of the stream */
  private async turn({ place, attempt, answer: promised }: Asked): Promise<Miss | undefined> {
    const answer = await promised;
    this.span = answer?.span;
    try {
      const miss = await this.hear(answer, attempt, place);
      this.span?.end({}, this.halted?.reason ?? miss?.ending.state);
      return miss;
    } catch (error) {
      this.span?.end({}, 'error');
      throw error;
    }
  }

  private async hear(answer: Answer, attempt: Attempt, place: Place): Promise<Miss | undefined> {
    if (answer === undefined) {
      place.leave('gone');
      return missOf({ kind: 'unreachable', reason: 'the node was removed' });
    }
    const { node, reply } = answer;
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
    body: Readable,
  ): Promise<Miss | undefined> {
    const startedAt = performance.now();
    const line = new IdLine();
    let broken: string | undefined;
    const { containerTimeoutMs, runningGraceMs } = this.parts.settings;
    const limitMs = containerTimeoutMs + runningGraceMs;
    const limit = setTimeout(() => this.halt(tooLong(limitMs)), limitMs);
    try {
      await eachChunk(body, (chunk) => {
        if (line.id !== undefined) return this.pass(place, chunk);
        const output = line.strip(chunk);
        if (line.id === undefined) return undefined;
        const recorded = this.record(attempt, line.id);
        if (output.length === 0) return recorded;
        return recorded === undefined
          ? this.pass(place, output)
          : recorded.then(() => this.pass(place, output));
      });
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

  /** @returns what to wait for before more is read from the node */
  private pass(place: Place, output: Buffer): Promise<void> | undefined {
    if (!this.relaying) {
      place.started();
      this.span?.mark('first output');
    }
    this.relaying = true;
    this.kept.add(output);
    return this.listener.write(output);
  }

  /** With our own id the node can be asked after a crash, so nothing hangs on this commit. */
  private record(attempt: Attempt, nodeJobId: string): Promise<void> | undefined {
    const { store } = this.parts;
    if (nodeJobId !== attempt.id) return store.accepted(attempt, nodeJobId);
    store.noteAccepted(attempt).catch(() => undefined);
    return undefined;
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
      await this.endings.succeed(attempt, place, word, { broken, tookMs });
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
      this.endings.handOver(attempt, place, nodeJobId);
      void this.listener.cut();
      return undefined;
    }
    place.leave(fault ? 'gone' : 'failed', fault);
    await this.endings.fail(attempt, { state: 'lost', reason }, error);
    return undefined;
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
      await this.endings.fail(attempt, { state: 'failed', reason }, error);
      return undefined;
    }
    await this.endings.finish({ attempt, state: 'failed', reason, result: bytes, intermediate: null });
    void this.listener.cut();
    return undefined;
  }

  private async stopped(attempt: Attempt, place: Place): Promise<StreamRefusal | undefined> {
    const { error, reason } = this.halted as Halt;
    place.leave('gone');
    await this.endings.fail(attempt, { state: 'failed', reason }, error);
    return this.listener.begun
      ? undefined
      : { status: STATUS.NO_ROOM, error, params: {}, retryAfterSeconds: 1 };
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
      await this.endings.fail(attempt, ending, error);
      return undefined;
    }
    await this.parts.store.withdraw(this.id);
    this.withdrawn = true;
    if (refusal !== undefined) return refusal;
    const pauses = misses.map(({ pauseMs }) => pauseMs).filter((pauseMs) => pauseMs !== undefined);
    const retryAfterSeconds = pauses.length === 0 ? 1 : Math.max(1, Math.ceil(Math.min(...pauses) / 1_000));
    return { status: STATUS.NO_ROOM, error, params: {}, retryAfterSeconds };
  }

  /** It was cancelled, and its row says so already; or a lease was lost, and nobody else would end its row soon. */
  private async giveUp(attempt: Attempt, { ending, error }: Miss): Promise<StreamRefusal | undefined> {
    await this.endings.fail(attempt, ending, error);
    if (this.listener.begun) return undefined;
    const ended = 'The stream was ended by the gateway';
    return { status: STATUS.NO_ROOM, error: ended, params: {}, retryAfterSeconds: 1 };
  }

  private async nextPlace(): Promise<Place | undefined> {
    const errors = this.misses.filter(({ erred }) => erred === true).length;
    if (errors >= ERRORS_MEAN_REFUSED) return undefined;
    if (this.parts.places.candidates(this.request.job, this.tried).length === 0) return undefined;
    return this.asking.place(this.tried);
  }

  private isHalted(): boolean {
    return this.halted !== undefined;
  }
}
