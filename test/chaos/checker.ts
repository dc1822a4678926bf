import { setTimeout as sleep } from 'node:timers/promises';
import { CALLERS, readRows, type ReplicaClient, type Row } from './callers.js';
import type { Ledger, LedgerJob } from './ledger.js';
import { Random } from './random.js';
import { failureReason, fingerprint, flawOf } from './workload.js';

/** A broken promise about one job. */
export interface Violation {
  readonly job: LedgerJob;
  readonly at: number;
  /** The replica that said so, from 0. */
  readonly replica: number;
  readonly what: string;
}

const POLL_MS = 250;
/** Ids in one question. */
const MOST_IDS = 80;
/** One poll in so many also reads finished jobs again. */
const REREAD_EVERY = 4;
/** A job that is left out of so many answers in a row is not waited for any longer. */
const GONE_AFTER = 8;
/** How long the last reading goes on asking a replica that does not answer, in ms. */
const FINAL_READ_LIMIT_MS = 60_000;

/**
 * Reads jobs as their callers do, at any replica, and holds what it reads against the ledger: every acknowledged job
 * is listed, a result is exactly right, and once there it never changes.
 */
export class Checker {
  /** Jobs that an answer left out. */
  readonly unseen: Violation[] = [];
  readonly changed: Violation[] = [];
  readonly wrong: Violation[] = [];
  /** Answers to reading that were neither 200 nor 503. */
  readonly oddAnswers = new Map<string, number>();
  private readonly random: Random;
  private isOver = false;

  constructor(
    private readonly ledger: Ledger,
    private readonly replicas: readonly ReplicaClient[],
    seed: number,
  ) {
    this.random = new Random(seed + 1);
  }

  /** Asks for every caller's jobs over and over until {@link stop}. */
  async watch(): Promise<void> {
    await Promise.all(CALLERS.map((caller) => this.watchCaller(caller)));
  }

  stop(): void {
    this.isOver = true;
  }

  /** Resolves when all jobs have ended or are gone, or when the time is up; {@link watch} must be running. */
  async settle(limitMs: number): Promise<void> {
    const deadline = Date.now() + limitMs;
    const isDone = (): boolean => this.ledger.unfinished.every(({ misses }) => misses >= GONE_AFTER);
    while (!isDone() && Date.now() < deadline) await sleep(POLL_MS);
  }

  /** Reads every job once more at every replica; what a replica does not list is returned. */
  async readAll(): Promise<Violation[]> {
    const missing: Violation[] = [];
    for (const replica of this.replicas.keys()) {
      for (const caller of CALLERS) {
        const jobs = [...this.ledger.jobs.values()].filter((job) => job.caller === caller);
        for (let first = 0; first < jobs.length; first += MOST_IDS) {
          missing.push(...(await this.readFinally(replica, caller, jobs.slice(first, first + MOST_IDS))));
        }
      }
    }
    return missing;
  }

  private async readFinally(
    replica: number,
    caller: string,
    jobs: readonly LedgerJob[],
  ): Promise<Violation[]> {
    const deadline = Date.now() + FINAL_READ_LIMIT_MS;
    for (;;) {
      const rows = await this.ask(replica, caller, jobs);
      if (rows !== undefined) {
        for (const job of jobs) this.compare(job, rows.get(job.id), replica);
        const left = jobs.filter((job) => !rows.has(job.id));
        return left.map((job) => ({ job, at: Date.now(), replica, what: 'not listed in the end' }));
      }
      if (Date.now() > deadline) {
        const what = 'the replica did not answer in the end';
        return jobs.map((job) => ({ job, at: Date.now(), replica, what }));
      }
      await sleep(POLL_MS);
    }
  }

  private async watchCaller(caller: string): Promise<void> {
    for (let round = 0; !this.isOver; round += 1) {
      const jobs = this.ledger.next(caller, MOST_IDS);
      if (jobs.length > 0) await this.check(caller, jobs);
      if (round % REREAD_EVERY === 0) await this.check(caller, this.someFinished(caller));
      await sleep(POLL_MS);
    }
  }

  private async check(caller: string, jobs: readonly LedgerJob[]): Promise<void> {
    if (jobs.length === 0) return;
    const replica = this.random.between(0, this.replicas.length - 1);
    const rows = await this.ask(replica, caller, jobs);
    if (rows === undefined) return;
    for (const job of jobs) this.compare(job, rows.get(job.id), replica);
  }

  /** @returns undefined when the replica gave no list: it may be away, which is no violation of these promises */
  private async ask(
    replica: number,
    caller: string,
    jobs: readonly LedgerJob[],
  ): Promise<Map<string, Row> | undefined> {
    const client = this.replicas[replica] as ReplicaClient;
    const ids = jobs.map(({ id }) => id);
    const answer = await client.read(caller, ids).catch(() => undefined);
    if (answer === undefined || answer.status === 503) return undefined;
    const rows = answer.status === 200 ? readRows(answer.body) : undefined;
    if (rows === undefined) {
      const what = `${answer.status} ${answer.body.slice(0, 160)}`;
      this.oddAnswers.set(what, (this.oddAnswers.get(what) ?? 0) + 1);
      return undefined;
    }
    return new Map(rows.map((row) => [row.id, row]));
  }

  private compare(job: LedgerJob, row: Row | undefined, replica: number): void {
    const violation = (what: string): Violation => ({ job, at: Date.now(), replica, what });
    if (row === undefined) {
      if (job.misses === 0) this.unseen.push(violation('acknowledged, and not listed'));
      job.misses += 1;
      return;
    }
    job.misses = 0;
    if (row.status === 'running') {
      if (job.end !== undefined) this.changed.push(violation(`${job.end.status} became running again`));
      return;
    }
    const print = fingerprint(row.status, row.result);
    if (job.end === undefined) {
      const reason = row.status === 'failed' ? failureReason(job.work, row.result) : undefined;
      this.ledger.finish(job, { at: Date.now(), status: row.status, fingerprint: print, reason });
      const flaw = flawOf(job.work, row.status, row.result);
      if (flaw !== undefined) this.wrong.push(violation(flaw));
    } else if (job.end.fingerprint !== print) {
      this.changed.push(violation(`${job.end.status} became ${row.status} ${row.result.slice(0, 200)}`));
    }
  }

  private someFinished(caller: string): LedgerJob[] {
    const jobs = this.ledger.finished.get(caller) ?? [];
    return Array.from({ length: Math.min(20, jobs.length) }, () => this.random.pick(jobs));
  }
}
