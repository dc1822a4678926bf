import { jsonString } from './reply.js';
import type { Container, ContainerOutcome } from './containers.js';
import type { Execution, ExecutionLog } from './execution-log.js';
import { INFRASTRUCTURE_ERRORS, type Faults } from './faults.js';
import type { JobRequest } from './job-request.js';
import type { JobStore } from './job-store.js';
import type { ScriptedAnswers } from './scripted-answers.js';
import type { ServiceTimes } from './service-time.js';
import type { Slots } from './slots.js';

/** Where the pieces of a stream go. */
export interface StreamSink {
  /** Whether the caller has gone away, and a promise for when it does. */
  readonly closed: boolean;
  readonly gone: Promise<void>;
  write(piece: Buffer): void;
  /** Resolves when the caller has taken enough for more to be written; at once if nothing waits. */
  drained(): Promise<void>;
}

/** How a stream ends: with the final chunk, or cut off without it. */
export type StreamEnd = 'ended' | 'cut';

/** What a runner works with; every member belongs to the same node. */
export interface RunnerParts {
  readonly node: string;
  readonly speed: number;
  readonly containers: ReadonlyMap<string, Container>;
  readonly serviceTimes: ReadonlyMap<string, ServiceTimes>;
  readonly slots: Slots;
  readonly store: JobStore;
  readonly log: ExecutionLog;
  readonly faults: Faults;
  readonly scripted: ScriptedAnswers;
  /** The node gives a container up after this time, its wait for a slot included. */
  readonly containerTimeoutMs: number;
  readonly streamTimeoutMs: number;
}

type Occupation = 'done' | 'timeout' | 'lost';

const FAIL_FAST_MS = 5;
const FAIL_FAST_ERROR = 'RuntimeError: CUDA error: out of memory';
const HTTP_ERROR_OBJECT =
  '{"code":500,"name":"Internal Server Error","description":"The server encountered an internal error and was ' +
  'unable to complete your request."}';

/**
 * Runs jobs as the node does: all at once, each a chain of container calls in which every output is the
 * next input, ended by the first failure. `abandon` is the death of the node process: whatever runs then
 * is lost without a trace in the store.
 */
export class JobRunner {
  readonly #running = new Set<() => void>();
  /** Counts the node's lives, so that work begun in an earlier one is recognised. */
  #life = 0;
  #jobs = 0;
  readonly #whenIdle: (() => void)[] = [];

  constructor(readonly parts: RunnerParts) {}

  /** Starts a job; its row is in the store when this returns. */
  start(job: JobRequest): void {
    this.parts.store.setRunning(job);
    void this.#counted(this.#runChain(job));
  }

  /** Resolves when no job runs. */
  async idle(): Promise<void> {
    if (this.#jobs === 0) return;
    await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  /** Loses everything that runs and waits. */
  abandon(): void {
    this.#life += 1;
    this.parts.slots.dropQueue();
    for (const lose of this.#running) lose();
  }

  /**
   * Runs the first container only, passing its answer on piece by piece. A failure ends the stream as
   * cleanly as a success does; after a cut, or when the caller has gone, the row stays `running`.
   */
  stream(job: JobRequest, sink: StreamSink): Promise<StreamEnd> {
    return this.#counted(this.#runStream(job, sink));
  }

  async #runStream(job: JobRequest, sink: StreamSink): Promise<StreamEnd> {
    const { store, log } = this.parts;
    const life = this.#life;
    const [id = ''] = job.containers;
    const container = this.#container(id);
    store.setRunning(job);
    const failure = this.#failure(id);
    const planned = this.#pieces(job, container);
    // A container that breaks has delivered a part of its answer by then.
    const pieces = failure === undefined ? planned : planned.slice(0, Math.floor(planned.length / 2));
    const written: Buffer[] = [];
    const write = (): void => {
      const piece = pieces[written.length];
      if (piece === undefined) return;
      written.push(piece);
      sink.write(piece);
    };
    const totalMs = this.#serviceMs(container, job.data);
    const cutAt = performance.now() + this.parts.streamTimeoutMs;
    let pacer: NodeJS.Timeout | undefined;
    let execution: Execution | undefined;
    const end = await this.#occupy(
      totalMs,
      this.parts.streamTimeoutMs,
      () => {
        execution = log.start(job.id, id);
        if (totalMs > 0) pacer = setInterval(write, totalMs / Math.max(1, planned.length));
      },
      sink.gone,
    );
    clearInterval(pacer);
    await this.parts.faults.thawed;
    const outcome = failure ?? this.#outcome(job, container, job.data);
    const isCut = (): boolean => sink.closed || life !== this.#life || performance.now() >= cutAt;
    while (end === 'done' && written.length < pieces.length && !isCut()) {
      write();
      await withinMs(sink.drained(), cutAt - performance.now());
    }
    if (end !== 'done' || isCut()) {
      if (execution !== undefined) log.finish(execution, 'lost');
      return 'cut';
    }
    if (execution !== undefined) log.finish(execution, 'error' in outcome ? 'failed' : 'success');
    if ('error' in outcome) {
      store.setFinished(job, 'failed', [errorResult(id, outcome.error)]);
    } else {
      const text = jsonString(Buffer.concat(written).toString());
      store.setFinished(job, 'success', [outputResult(id, Buffer.from(`{"output":${text}}`))]);
    }
    return 'ended';
  }

  async #counted<Result>(job: Promise<Result>): Promise<Result> {
    this.#jobs += 1;
    try {
      return await job;
    } finally {
      this.#jobs -= 1;
      if (this.#jobs === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
    }
  }

  async #runChain(job: JobRequest): Promise<void> {
    const { store } = this.parts;
    const life = this.#life;
    const results: Buffer[] = [];
    let data = job.data;
    for (const id of job.containers) {
      const outcome = await this.#execute(job, this.#container(id), data);
      await this.parts.faults.thawed;
      if (outcome === undefined || life !== this.#life) return;
      if ('error' in outcome) {
        results.push(errorResult(id, outcome.error));
        store.setFinished(job, 'failed', results);
        return;
      }
      results.push(outputResult(id, outcome.output));
      data = outcome.output;
    }
    store.setFinished(job, 'success', results);
  }

  /** One call of a container; undefined when the node died meanwhile. */
  async #execute(job: JobRequest, container: Container, data: Buffer): Promise<ContainerOutcome | undefined> {
    const { log, faults } = this.parts;
    const failure = this.#failure(container.id);
    if (failure !== undefined) {
      const execution = log.start(job.id, container.id);
      await new Promise((resolve) => setTimeout(resolve, FAIL_FAST_MS));
      log.finish(execution, 'failed');
      return failure;
    }
    let execution: Execution | undefined;
    const end = await this.#occupy(
      this.#serviceMs(container, data),
      this.parts.containerTimeoutMs,
      () => (execution = log.start(job.id, container.id)),
    );
    const isFalse = end === 'done' && faults.strikesExecution('falseSuccess', container.id) !== undefined;
    const outcome = end === 'done' ? this.#outcome(job, container, data) : { error: '' };
    const hasFailed = isFalse || 'error' in outcome;
    if (execution !== undefined) {
      log.finish(execution, end === 'lost' ? 'lost' : hasFailed ? 'failed' : 'success');
    }
    if (end === 'lost') return undefined;
    return isFalse ? { output: Buffer.from(HTTP_ERROR_OBJECT) } : outcome;
  }

  /** Holds a slot for a service time, or gives up after the timeout, its wait for the slot included, or when abandoned. */
  #occupy(
    serviceMs: number,
    timeoutMs: number,
    onStart: () => void,
    abandoned?: Promise<void>,
  ): Promise<Occupation> {
    const { slots } = this.parts;
    return new Promise((resolve) => {
      let isStarted = false;
      let isSettled = false;
      let service: NodeJS.Timeout | undefined;
      const settle = (end: Occupation): void => {
        if (isSettled) return;
        isSettled = true;
        clearTimeout(service);
        clearTimeout(timeout);
        this.#running.delete(lose);
        withdraw();
        if (isStarted) slots.release();
        resolve(end);
      };
      const lose = (): void => settle('lost');
      const timeout = setTimeout(() => settle('timeout'), timeoutMs).unref();
      this.#running.add(lose);
      void abandoned?.then(lose);
      const withdraw = slots.acquire(() => {
        isStarted = true;
        onStart();
        if (serviceMs > 0) service = setTimeout(() => settle('done'), serviceMs);
        else setImmediate(() => settle('done'));
      });
    });
  }

  #outcome(job: JobRequest, container: Container, data: Buffer): ContainerOutcome {
    const scripted = this.parts.scripted.output(job.id, container.id);
    if (scripted !== undefined) return { output: scripted };
    return container.run(data, this.parts.node, container.requestedMs?.(data));
  }

  #pieces(job: JobRequest, container: Container): readonly Buffer[] {
    const scripted = this.parts.scripted.output(job.id, container.id);
    if (scripted !== undefined) return [scripted];
    if (container.pieces !== undefined) return container.pieces(job.data);
    const outcome = this.#outcome(job, container, job.data);
    return 'error' in outcome ? [] : [outcome.output];
  }

  #serviceMs(container: Container, data: Buffer): number {
    const { serviceTimes, speed, faults } = this.parts;
    const slow = faults.strikesExecution('slow', container.id);
    const factor = slow === undefined ? 1 : (slow.factor ?? 10);
    const ms = container.requestedMs?.(data) ?? serviceTimes.get(container.id)?.() ?? 0;
    return (ms * factor) / speed;
  }

  #failure(container: string): { error: string } | undefined {
    const { faults } = this.parts;
    const failFast = faults.strikesExecution('failFast', container);
    if (failFast !== undefined) return { error: failFast.text ?? FAIL_FAST_ERROR };
    const infrastructure = faults.strikesExecution('infrastructure', container);
    if (infrastructure === undefined) return undefined;
    const text = infrastructure.text ?? 'server-disconnected';
    return { error: INFRASTRUCTURE_ERRORS[text] ?? text };
  }

  #container(id: string): Container {
    const container = this.parts.containers.get(id);
    if (container === undefined) throw new Error(`container "${id}" was admitted but is not offered`);
    return container;
  }
}

function outputResult(container: string, output: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(`{"container":${jsonString(container)},"output":`),
    output,
    Buffer.from('}'),
  ]);
}

function errorResult(container: string, error: string): Buffer {
  return Buffer.from(`{"container":${jsonString(container)},"error":${jsonString(error)}}`);
}

/** Resolves with the promise, or when the time is up. */
async function withinMs(promise: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([promise, new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))]);
  clearTimeout(timer);
}
