import { performance } from 'node:perf_hooks';
import { Logger } from '@nestjs/common';
import type { ErrorPatterns } from '../config/settings.js';
import type { DeliveredJob } from '../dispatch/dispatcher.js';
import type { Ending } from '../dispatch/policy/pair.js';
import { messageOf } from '../errors.js';
import { failureResult } from '../jobs/job-state.js';
import type { FinishedAttempt } from '../jobs/results-store.js';
import { NoMetrics, type Metrics } from '../metrics/metrics.js';
import type { FleetNode } from '../nodes/node.js';
import type { NodeClient, ResultsReply } from '../nodes/node-client.js';
import { beginSpan, type TracedSpan } from '../tracing/tracing.js';
import type { OversizeRow, ResultRow } from '../protocol/result-rows.js';
import { AbsenceDoubt } from './absence-doubt.js';
import { firstPauseMs, nextPauseMs } from './poll-schedule.js';
import { ReplySizes } from './reply-sizes.js';
import { ServiceTimes } from './service-times.js';
import { verdictOf, type Verdict } from './verdict.js';
import { isChain, kindOf, Watches, type Watch } from './watches.js';

/** How a job ended on its node, for whoever learns from that. */
export interface NodeEnding {
  readonly ending: Ending;
  /** For how long it may have been over before that was seen and committed, in ms. */
  readonly unseenMs: number;
  /** How many jobs of its kind the node had accepted before it and was seen to work on still when it had ended. */
  readonly overtook: number;
}

/**
 * Where collected results go. Each promise resolves when what it says is committed; how a job ended is to be asked after
 * that, when all rows of the reply have been read.
 */
export interface ResultSink {
  /** The job is over. */
  finish(job: DeliveredJob, finished: FinishedAttempt, end: () => NodeEnding): Promise<void>;
  /** The node has a job of which that was not certain. */
  confirm(job: DeliveredJob): Promise<void>;
  /** The job ended in a way that another attempt may not; `finished` is delivered if there is none left. */
  retry(
    job: DeliveredJob,
    verdict: Verdict & { kind: 'retry' },
    finished: FinishedAttempt,
    end: () => NodeEnding,
  ): Promise<void>;
  /** The node had accepted the job and does not have it any more. */
  lost(job: DeliveredJob, reason: string): Promise<void>;
  /** The node that may have had the job does not have it. */
  absent(job: DeliveredJob, reason: string): Promise<void>;
  /** The node gave no answer. */
  silent(): void;
  /** The node does not show the jobs that it accepts from here. Said once, until it shows one again. */
  hidden(): void;
}

export interface CollectorOptions {
  /** A larger result fails its job, in bytes. */
  readonly maxResultBytes: number;
  /** How long a node may take to start its reply, and then between two parts of it, in ms. */
  readonly timeoutMs: number;
  /** A job that runs longer than this for each container, and the grace, is lost, in ms. */
  readonly containerTimeoutMs: number;
  readonly runningGraceMs: number;
  /** How long a node is asked in vain for a job that it was not seen to have, in ms. */
  readonly noAnswerMs: number;
  readonly errorWhen: ErrorPatterns;
}

/** More ids would not fit a node's 16 KiB request head; docs/protocol.md §1. */
const MAX_IDS = 200;
/** Pause between two questions to a node, and after one that failed, in ms. */
const REQUEST_GAP_MS = 10;
const FAILURE_PAUSE_MS = 1_000;
/** `[]` is the only sign of a lost job; one could be a hiccup. */
const ABSENCES_MEAN_LOST = 2;
const ABSENCE_PAUSE_MS = 2_000;

/**
 * Owner of the jobs that a node has or may have: asks for many of them with one request, commits what has ended and
 * notices what is not there. One request at a time. Whatever was collected but could not be committed is collected
 * again, since the node keeps its results.
 *
 * | what the node says of a job | what it means |
 * |---|---|
 * | running, success, failed | it has it; the end is judged by `verdictOf` |
 * | nothing, twice in a row | it was accepted: lost. It was not certain to be there: absent |
 * | no answer at all for `noAnswerMs` | absent or lost, if the node was never seen to have it; else it is waited for |
 * | running for longer than its containers may take | lost |
 *
 * A node shows a job only to the address that sent it, so absence is believed of jobs sent from here alone; others
 * are waited for until their time is up. Even of those it is doubted at times; see `AbsenceDoubt`.
 *
 * All times are on the clock of `performance.now()`: the wall clock may be set, and no job has run for longer then.
 */
export class Collector {
  private readonly log = new Logger(Collector.name);
  private readonly watches = new Watches();
  private readonly doubt = new AbsenceDoubt();
  private readonly sizes = new ReplySizes(MAX_IDS);
  private readonly times = new ServiceTimes();
  private timer: NodeJS.Timeout | undefined;
  private timerAt = Infinity;
  private asking = false;
  private stopped = false;
  /** Since when the node has given no answer. */
  private silentSince: number | undefined;

  constructor(
    private readonly node: FleetNode,
    private readonly client: NodeClient,
    private readonly sink: ResultSink,
    private readonly options: CollectorOptions,
    private readonly metrics: Metrics = new NoMetrics(),
  ) {}

  /** Whether this attempt is being collected. */
  has(attemptId: string): boolean {
    return this.watches.has(attemptId);
  }

  /**
   * Collects this job from now on.
   * @param since when the node accepted it, on the clock of `performance.now()`
   * @param visible false if it was sent from another address than this gateway's
   */
  watch(job: DeliveredJob, since = performance.now(), visible = true): void {
    const dueAt = performance.now() + firstPauseMs(this.times.meanMs(kindOf(job)));
    const state = { openAt: since, dueAt, wantedUntil: 0, seen: false, absences: 0, busy: false };
    this.watches.add({ job, since, visible, ...state });
    this.wakeAt(dueAt);
  }

  /**
   * A caller waits for these jobs until the given time (`performance.now()`); those that are here are asked about at
   * once. Only one that was absent keeps its pause, whoever waits.
   */
  hurry(jobIds: readonly string[], untilMs: number): void {
    const now = performance.now();
    for (const id of jobIds) {
      const watch = this.watches.ofJob(id);
      if (watch === undefined) continue;
      watch.wantedUntil = untilMs;
      if (watch.absences > 0) continue;
      watch.dueAt = Math.min(watch.dueAt, now);
      this.wakeAt(now);
    }
  }

  /** Forgets everything; safe twice. */
  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.watches.clear();
  }

  /** Asks once about the jobs that are due, and commits what came. Never throws. */
  async runOnce(): Promise<void> {
    const due = this.takeDue();
    const first = due[0];
    if (first === undefined) return;
    const asked = new Map(due.map((watch) => [watch.job.nodeJobId, watch]));
    const askedAt = performance.now();
    const commits: Promise<void>[] = [];
    const answered = new Set<Watch>();
    const witness =
      due.length > 1 && due.some(({ absences }) => absences > 0) ? this.doubt.witnessId : undefined;
    let witnessSeen = false;
    const onRow = (row: ResultRow | OversizeRow): void => {
      const id = row.id ?? (asked.size === 1 ? first.job.nodeJobId : undefined);
      witnessSeen ||= id !== undefined && id === witness;
      const watch = id === undefined ? undefined : asked.get(id);
      if (watch === undefined || answered.has(watch)) return;
      answered.add(watch);
      commits.push(this.guarded(watch, this.takeRow(watch, row, askedAt)));
    };
    const ids = witness === undefined ? [...asked.keys()] : [...asked.keys(), witness];
    const limits = { timeoutMs: this.options.timeoutMs, maxRowBytes: this.options.maxResultBytes };
    const query = { ids, intermediate: isChain(first) };
    const reply = await this.client.results(this.node, query, limits, onRow);
    const missing = due.filter((watch) => !answered.has(watch));
    if (reply.kind === 'complete') {
      this.silentSince = undefined;
      this.sizes.worked();
      if (witness !== undefined && !witnessSeen && missing.length === due.length) this.doubt.allVanished();
      for (const watch of missing) commits.push(this.guarded(watch, this.missed(watch)));
    } else {
      if (reply.kind === 'unreachable') this.doubt.nodeWasAway();
      for (const watch of missing)
        commits.push(this.guarded(watch, this.unanswered(watch, reply, due.length)));
    }
    await Promise.all(commits);
  }

  /** What goes wrong over one job harms no other: it is asked about again. */
  private async guarded(watch: Watch, taken: Promise<void>): Promise<void> {
    try {
      await taken;
    } catch (error) {
      const fields = { err: error, ...this.namesOf(watch.job) };
      this.log.error(fields, 'What the node said of a job could not be dealt with');
      this.release(watch, performance.now() + FAILURE_PAUSE_MS);
    }
  }

  /** The jobs to ask about now, as many as the reply may hold. What is due before the next question could leave comes along. */
  private takeDue(): Watch[] {
    const now = performance.now();
    const due = this.watches.due(now, now + REQUEST_GAP_MS);
    const taken = due.slice(0, this.sizes.fit(due.map(({ job }) => kindOf(job))));
    for (const watch of taken) watch.busy = true;
    // Asked in order of dispatch, their ends come in that order, and none seems to have overtaken another.
    return taken.sort((a, b) => a.since - b.since);
  }

  /** What the end of a job tells that was asked about at that time. */
  private endOf(watch: Watch, ending: Ending, askedAt: number): NodeEnding {
    const unseenMs = Math.max(0, performance.now() - watch.openAt);
    this.metrics.endSeen(this.node.config.name, performance.now() - watch.since, unseenMs);
    return { ending, unseenMs, overtook: this.watches.overtakenBy(watch, askedAt) };
  }

  private async takeRow(watch: Watch, row: ResultRow | OversizeRow, askedAt: number): Promise<void> {
    const { job } = watch;
    if (!watch.seen && !job.certain) await this.sink.confirm(job).catch(() => undefined);
    watch.seen = true;
    this.doubt.shown(watch.since);
    if ('oversize' in row) {
      return this.fail(watch, `The result is larger than ${this.options.maxResultBytes} bytes`, askedAt);
    }
    if (row.status === 'running') {
      watch.openAt = askedAt;
      return this.overdue(watch);
    }
    this.doubt.ended(job.nodeJobId);
    this.sizes.learn(kindOf(job), row.result.length + (row.intermediate?.length ?? 0));
    this.times.learn(kindOf(job), performance.now() - watch.since);
    const verdict = this.judged(row, job);
    if (verdict === undefined) return this.fail(watch, 'The result could not be read', askedAt);
    const finished: FinishedAttempt = {
      attempt: job.attempt,
      state: row.status === 'success' ? 'succeeded' : 'failed',
      reason: row.status === 'success' ? null : 'the container failed',
      result: row.result,
      intermediate: row.intermediate ?? null,
    };
    const end = (): NodeEnding => this.endOf(watch, endingOf(verdict), askedAt);
    await this.conclude(watch, () =>
      verdict.kind === 'final'
        ? this.sink.finish(job, finished, end)
        : this.sink.retry(job, verdict, finished, end),
    );
  }

  /** Undefined for an answer that cannot be judged: asked again, the node would give the same. */
  private judged(row: ResultRow, job: DeliveredJob): Verdict | undefined {
    try {
      return verdictOf(row, job.containers, this.options.errorWhen);
    } catch (error) {
      this.log.error({ err: error, ...this.namesOf(job) }, 'The result of a job could not be judged');
      return undefined;
    }
  }

  /** The node's answer is of no use, and final. */
  private async fail(watch: Watch, reason: string, askedAt: number): Promise<void> {
    const { attempt, containers } = watch.job;
    const result = failureResult(containers, reason);
    const failed = { attempt, state: 'failed', reason, result, intermediate: null } as const;
    await this.conclude(watch, () =>
      this.sink.finish(watch.job, failed, () => this.endOf(watch, 'failed', askedAt)),
    );
  }

  /** Found running, or not to be believed absent: lost if its time is up, else asked about again. */
  private async overdue(watch: Watch): Promise<void> {
    const now = performance.now();
    const ageMs = now - watch.since;
    const limitMs =
      this.options.containerTimeoutMs * watch.job.containers.length + this.options.runningGraceMs;
    if (ageMs > limitMs) return this.conclude(watch, () => this.sink.lost(watch.job, 'it ran for too long'));
    watch.absences = 0;
    this.release(watch, now + nextPauseMs(ageMs, watch.wantedUntil > now));
  }

  /** The node answered and does not know the job. */
  private async missed(watch: Watch): Promise<void> {
    if (!watch.visible) return this.overdue(watch);
    watch.absences += 1;
    if (watch.absences < ABSENCES_MEAN_LOST) return this.askAllAgain(watch);
    const { job } = watch;
    if (this.doubt.isActive) {
      if (job.certain && this.doubt.hides(watch.since)) this.sink.hidden();
      return this.overdue(watch);
    }
    if (job.certain) {
      return this.conclude(watch, () => this.sink.lost(job, 'the node does not know the job any more'));
    }
    await this.conclude(watch, () =>
      this.sink.absent(job, 'no answer to the submission, and the node does not have it'),
    );
  }

  /** If one job is absent, others may be: they are asked about together, so that it shows whether all are. */
  private askAllAgain(absent: Watch): void {
    const dueAt = performance.now() + ABSENCE_PAUSE_MS;
    this.release(absent, dueAt);
    for (const watch of this.watches.idle()) {
      if (watch.visible) watch.dueAt = watch.absences > 0 ? dueAt : Math.min(watch.dueAt, dueAt);
    }
  }

  private async unanswered(watch: Watch, reply: ResultsReply, asked: number): Promise<void> {
    const now = performance.now();
    if (reply.kind === 'limited') return this.release(watch, now + reply.pauseMs);
    // Too large or too slow a reply looks like any other failure: ask for fewer.
    if (reply.kind !== 'unreachable') this.sizes.failed(asked);
    this.silentSince ??= now;
    this.sink.silent();
    const silentMs = now - Math.max(this.silentSince, watch.since);
    if (!watch.seen && silentMs >= this.options.noAnswerMs) {
      const reason = `the node was not seen to have it and gave no answer for ${Math.round(silentMs / 1_000)} s`;
      const { job } = watch;
      return this.conclude(watch, () =>
        job.certain ? this.sink.lost(job, reason) : this.sink.absent(job, reason),
      );
    }
    await this.overdue(watch);
    watch.dueAt = Math.max(watch.dueAt, now + FAILURE_PAUSE_MS);
  }

  /** From its acceptance until its end is committed; that it was seen to end is marked. */
  private spanOf({ job, since }: Watch): TracedSpan | undefined {
    const { traceparent, attempt } = job;
    if (traceparent === undefined) return undefined;
    const attributes = {
      'infernet.job.id': attempt.jobId,
      'infernet.attempt.id': attempt.id,
      'infernet.node': this.node.config.name,
    };
    // Spans are on the wall clock.
    const startedAt = Date.now() - (performance.now() - since);
    const span = beginSpan('run and collect', { parent: traceparent, startedAt, attributes });
    span?.mark('end seen');
    return span;
  }

  /** Forgets the job once its end is committed; else it is asked about again. */
  private async conclude(watch: Watch, commit: () => Promise<void>): Promise<void> {
    const span = this.spanOf(watch);
    try {
      await commit();
      span?.end();
      this.watches.delete(watch);
    } catch (error) {
      this.log.warn(this.namesOf(watch.job), `The job will be collected again: ${messageOf(error)}`);
      this.release(watch, performance.now() + FAILURE_PAUSE_MS);
    }
  }

  private namesOf({ attempt: { id, jobId } }: DeliveredJob): object {
    return { jobId, attemptId: id, node: this.node.config.name };
  }

  private release(watch: Watch, dueAt: number): void {
    watch.busy = false;
    watch.dueAt = dueAt;
  }

  private wakeAt(at: number): void {
    if (this.stopped || this.asking || at >= this.timerAt) return;
    clearTimeout(this.timer);
    this.timerAt = at;
    const budgetMs = this.node.budget.waitMs('get_job', performance.now());
    this.timer = setTimeout(
      () => void this.tick(),
      Math.max(REQUEST_GAP_MS, at - performance.now(), budgetMs),
    );
  }

  private async tick(): Promise<void> {
    this.timerAt = Infinity;
    this.asking = true;
    try {
      await this.runOnce();
    } catch (error) {
      this.log.error({ err: error, node: this.node.config.name }, 'Asking for results went wrong');
    }
    this.asking = false;
    const next = this.watches.nextDueAt();
    if (next < Infinity) this.wakeAt(next);
  }
}

/** What a node's word for the end of a job says about the node. */
function endingOf(verdict: Verdict): Ending {
  if (verdict.kind === 'retry') return verdict.blamesNode ? 'faulted' : 'failed';
  return verdict.state === 'succeeded' && verdict.disguised !== true ? 'succeeded' : 'failed';
}
