import { closeSync, openSync, writeSync } from 'node:fs';
import type { Work } from './workload.js';

/** An acknowledged job and what has been seen of it since. Times are milliseconds since the epoch. */
export interface LedgerJob {
  readonly id: string;
  readonly work: Work;
  readonly caller: string;
  /** The replica that acknowledged it, from 0. */
  readonly replica: number;
  readonly sentAt: number;
  readonly ackedAt: number;
  /** Answers that should have listed it and did not, in a row; it must never be above 0. */
  misses: number;
  end?: {
    /** When it was first seen, at most a poll late. */
    readonly at: number;
    readonly status: 'success' | 'failed';
    readonly fingerprint: string;
    /** Error text of a failure. */
    readonly reason: string | undefined;
  };
}

/**
 * Every job that a gateway has acknowledged. Each is appended to a file before it counts, so that nothing inside the
 * system under test, nor the end of this process, can make it forgotten.
 */
export class Ledger {
  readonly jobs = new Map<string, LedgerJob>();
  /** Jobs without a terminal result by caller, in the order in which to ask for them. */
  readonly open = new Map<string, Set<LedgerJob>>();
  /** Jobs with a terminal result by caller. */
  readonly finished = new Map<string, LedgerJob[]>();
  /** Jobs that nobody has asked for yet, by caller. */
  readonly fresh = new Map<string, LedgerJob[]>();
  /** Ids that were acknowledged twice. */
  readonly repeatedIds: string[] = [];
  private readonly file: number;

  constructor(path: string, callers: readonly string[]) {
    this.file = openSync(path, 'a');
    for (const caller of callers) {
      this.open.set(caller, new Set());
      this.fresh.set(caller, []);
      this.finished.set(caller, []);
    }
  }

  get acknowledged(): number {
    return this.jobs.size;
  }

  get unfinished(): LedgerJob[] {
    return [...this.open.values()].flatMap((jobs) => [...jobs]);
  }

  acknowledge(entry: Omit<LedgerJob, 'misses' | 'end'>): void {
    writeSync(this.file, `${ledgerLine(entry)}\n`);
    if (this.jobs.has(entry.id)) this.repeatedIds.push(entry.id);
    const job: LedgerJob = { ...entry, misses: 0 };
    this.jobs.set(job.id, job);
    this.open.get(job.caller)?.add(job);
    this.fresh.get(job.caller)?.push(job);
  }

  finish(job: LedgerJob, end: NonNullable<LedgerJob['end']>): void {
    job.end = end;
    this.open.get(job.caller)?.delete(job);
    this.finished.get(job.caller)?.push(job);
  }

  /**
   * The next jobs to ask for: those never asked for first, then the unfinished ones in turn.
   * @param most how many at the most
   */
  next(caller: string, most: number): LedgerJob[] {
    const chosen = new Set(this.fresh.get(caller)?.splice(0, most));
    const open = this.open.get(caller) ?? new Set();
    for (const job of [...open].slice(0, most)) {
      if (chosen.size >= most) break;
      chosen.add(job);
      open.delete(job);
      open.add(job);
    }
    return [...chosen];
  }

  close(): void {
    closeSync(this.file);
  }
}

/** A job as the file has it. */
export function ledgerLine(job: Omit<LedgerJob, 'misses' | 'end'>): string {
  const { id, work, caller, replica, sentAt, ackedAt } = job;
  return JSON.stringify({
    id,
    key: work.key,
    containers: work.containers,
    data: work.data,
    caller,
    replica,
    sentAt,
    ackedAt,
  });
}
