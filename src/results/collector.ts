import { Logger } from '@nestjs/common';
import type { AcceptedJob } from '../dispatch/dispatcher.js';
import { messageOf } from '../errors.js';
import { failureResult } from '../jobs/job-state.js';
import type { FinishedAttempt } from '../jobs/results-store.js';
import type { FleetNode } from '../nodes/node.js';
import type { NodeClient } from '../nodes/node-client.js';
import type { OversizeRow, ResultRow } from '../protocol/result-rows.js';
import { FIRST_PAUSE_MS, nextPauseMs } from './poll-schedule.js';
import { ReplySizes } from './reply-sizes.js';

/** Where collected results go. Each promise resolves when the result is committed. */
export interface ResultSink {
  /** The job is over. */
  finish(attempt: FinishedAttempt): Promise<void>;
  /** The node accepted the job and does not know it any more. */
  lost(job: AcceptedJob, reason: string): Promise<void>;
}

export interface CollectorOptions {
  /** A larger result fails its job, in bytes. */
  readonly maxResultBytes: number;
  /** How long a node may take to start its reply, and then between two parts of it, in ms. */
  readonly timeoutMs: number;
}

/** A job to be collected. Times on the clock of `Date.now()`. */
interface Watch {
  readonly job: AcceptedJob;
  readonly since: number;
  dueAt: number;
  wantedUntil: number;
  /** How often in a row the node did not know it. */
  absences: number;
  /** It is being asked about, or its result is being committed. */
  busy: boolean;
}

/** More ids would not fit a node's 16 KiB request head; docs/protocol.md §1. */
const MAX_IDS = 200;
/** Pause between two questions to a node, and after one that failed, in ms. */
const REQUEST_GAP_MS = 10;
const FAILURE_PAUSE_MS = 1_000;
/** `[]` is the only sign of a lost job; one could be a hiccup. */
const ABSENCES_MEAN_LOST = 2;

/**
 * Owner of the jobs that run on one node: asks for many of them with one request, commits what has ended and
 * notices what the node has lost. One request at a time. Whatever was collected but could not be committed is
 * collected again, since the node keeps its results.
 */
export class Collector {
  private readonly log = new Logger(Collector.name);
  private readonly watches = new Map<string, Watch>();
  private readonly sizes = new ReplySizes(MAX_IDS);
  private timer: NodeJS.Timeout | undefined;
  private timerAt = Infinity;
  private asking = false;
  private stopped = false;

  constructor(
    private readonly node: FleetNode,
    private readonly client: NodeClient,
    private readonly sink: ResultSink,
    private readonly options: CollectorOptions,
  ) {}

  /** Jobs on this node that have not ended. */
  get size(): number {
    return this.watches.size;
  }

  /** Collects this job from now on. `since` is when the node accepted it. */
  watch(job: AcceptedJob, since = Date.now()): void {
    const dueAt = Date.now() + FIRST_PAUSE_MS;
    const { jobId } = job.attempt;
    this.watches.set(jobId, { job, since, dueAt, wantedUntil: 0, absences: 0, busy: false });
    this.wakeAt(dueAt);
  }

  /** A caller waits for these jobs until the given time; those that are here are asked about at once. */
  hurry(jobIds: readonly string[], untilMs: number): void {
    const now = Date.now();
    for (const id of jobIds) {
      const watch = this.watches.get(id);
      if (watch === undefined) continue;
      watch.wantedUntil = untilMs;
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
    if (due.length === 0) return;
    const asked = new Map(due.map((watch) => [watch.job.nodeJobId, watch]));
    const commits: Promise<void>[] = [];
    const seen = new Set<string>();
    const intermediate = isChain(due[0] as Watch);
    const onRow = (row: ResultRow | OversizeRow): void => {
      const id = row.id ?? (asked.size === 1 ? due[0]?.job.nodeJobId : undefined);
      const watch = id === undefined ? undefined : asked.get(id);
      if (watch === undefined || seen.has(watch.job.nodeJobId)) return;
      seen.add(watch.job.nodeJobId);
      const finished = this.readRow(watch, row);
      if (finished === undefined) this.postpone(watch);
      else commits.push(this.conclude(watch, () => this.sink.finish(finished)));
    };
    const limits = { timeoutMs: this.options.timeoutMs, maxRowBytes: this.options.maxResultBytes };
    const ids = [...asked.keys()];
    const reply = await this.client.results(this.node.config, { ids, intermediate }, limits, onRow);
    const missing = due.filter((watch) => !seen.has(watch.job.nodeJobId));
    if (reply.kind === 'complete') {
      this.sizes.worked();
      for (const watch of missing) commits.push(this.notFound(watch));
    } else {
      const pauseMs = reply.kind === 'limited' ? reply.pauseMs : FAILURE_PAUSE_MS;
      // Too large or too slow a reply looks like any other failure: ask for fewer.
      if (reply.kind !== 'limited' && reply.kind !== 'unreachable') this.sizes.failed(ids.length);
      for (const watch of missing) this.release(watch, Date.now() + pauseMs);
    }
    await Promise.all(commits);
  }

  /** The jobs to ask about now: of one kind, as many as the reply may hold, longest overdue first. */
  private takeDue(): Watch[] {
    const now = Date.now();
    const due = [...this.watches.values()].filter((watch) => !watch.busy && watch.dueAt <= now);
    due.sort((a, b) => Number(b.wantedUntil > now) - Number(a.wantedUntil > now) || a.dueAt - b.dueAt);
    const first = due[0];
    if (first === undefined) return [];
    const alike = due.filter((watch) => isChain(watch) === isChain(first));
    const taken = alike.slice(0, this.sizes.fit(alike.map((watch) => kindOf(watch.job))));
    for (const watch of taken) watch.busy = true;
    return taken;
  }

  private readRow(watch: Watch, row: ResultRow | OversizeRow): FinishedAttempt | undefined {
    const { attempt, containers } = watch.job;
    if ('oversize' in row) {
      const reason = `The result is larger than ${this.options.maxResultBytes} bytes`;
      return {
        attempt,
        state: 'failed',
        reason,
        result: failureResult(containers, reason),
        intermediate: null,
      };
    }
    if (row.status === 'running') return undefined;
    this.sizes.learn(kindOf(watch.job), row.result.length + (row.intermediate?.length ?? 0));
    return {
      attempt,
      state: row.status === 'success' ? 'succeeded' : 'failed',
      reason: row.status === 'success' ? null : 'the container failed',
      result: row.result,
      intermediate: row.intermediate ?? null,
    };
  }

  private async notFound(watch: Watch): Promise<void> {
    watch.absences += 1;
    if (watch.absences < ABSENCES_MEAN_LOST) return this.release(watch, Date.now() + FAILURE_PAUSE_MS);
    await this.conclude(watch, () => this.sink.lost(watch.job, 'the node does not know the job any more'));
  }

  /** Forgets the job once its end is committed; else it is asked about again. */
  private async conclude(watch: Watch, commit: () => Promise<void>): Promise<void> {
    try {
      await commit();
      this.watches.delete(watch.job.attempt.jobId);
    } catch (error) {
      this.log.warn(`Job ${watch.job.attempt.jobId} will be collected again: ${messageOf(error)}`);
      this.release(watch, Date.now() + FAILURE_PAUSE_MS);
    }
  }

  private postpone(watch: Watch): void {
    const now = Date.now();
    watch.absences = 0;
    this.release(watch, now + nextPauseMs(now - watch.since, watch.wantedUntil > now));
  }

  private release(watch: Watch, dueAt: number): void {
    watch.busy = false;
    watch.dueAt = dueAt;
  }

  private wakeAt(at: number): void {
    if (this.stopped || this.asking || at >= this.timerAt) return;
    clearTimeout(this.timer);
    this.timerAt = at;
    this.timer = setTimeout(() => void this.tick(), Math.max(REQUEST_GAP_MS, at - Date.now()));
  }

  private async tick(): Promise<void> {
    this.timerAt = Infinity;
    this.asking = true;
    await this.runOnce();
    this.asking = false;
    let next = Infinity;
    for (const watch of this.watches.values()) if (!watch.busy && watch.dueAt < next) next = watch.dueAt;
    if (next < Infinity) this.wakeAt(next);
  }
}

/** Only chains have intermediate results worth asking for. */
function isChain(watch: Watch): boolean {
  return watch.job.containers.length > 1;
}

function kindOf(job: AcceptedJob): string {
  return job.containers.join(' ');
}
