import type { DeliveredJob } from '../dispatch/dispatcher.js';

/** A job to be collected. Times on the clock of `performance.now()`. */
export interface Watch {
  readonly job: DeliveredJob;
  /** When the node accepted it. */
  readonly since: number;
  /** Whether the node shows its rows to this gateway's address. */
  readonly visible: boolean;
  /** When the job was last known not to have ended. */
  openAt: number;
  dueAt: number;
  /** Until when a caller waits for it. */
  wantedUntil: number;
  /** The node was seen to have it. */
  seen: boolean;
  /** How often in a row the node did not know it. */
  absences: number;
  /** It is being asked about, or its end is being committed. */
  busy: boolean;
}

/** So many jobs are asked about in passing, for what they tell of others. */
const MAX_COMPANIONS = 48;

/** Due for so long, a job gets its turn though callers wait for others, in ms. */
const PATIENCE_MS = 5_000;

/** The jobs that are collected from a node, in the order in which it accepted them. */
export class Watches {
  /** By attempt: of one job, a cancelled attempt and a newer one may be here at the same time. */
  private readonly byAttempt = new Map<string, Watch>();
  private readonly attemptOf = new Map<string, string>();
  /** Whether the last question went to those that had been due for longest. */
  private turnOfOldest = false;

  has(attemptId: string): boolean {
    return this.byAttempt.has(attemptId);
  }

  /** The job's newest attempt here. */
  ofJob(jobId: string): Watch | undefined {
    return this.byAttempt.get(this.attemptOf.get(jobId) ?? '');
  }

  add(watch: Watch): void {
    const { id, jobId } = watch.job.attempt;
    this.byAttempt.set(id, watch);
    this.attemptOf.set(jobId, id);
  }

  delete({ job }: Watch): void {
    const { id, jobId } = job.attempt;
    this.byAttempt.delete(id);
    if (this.attemptOf.get(jobId) === id) this.attemptOf.delete(jobId);
  }

  clear(): void {
    this.byAttempt.clear();
    this.attemptOf.clear();
  }

  /** Those that nobody is at work on. */
  *idle(): Generator<Watch> {
    for (const watch of this.byAttempt.values()) if (!watch.busy) yield watch;
  }

  /** When the next one is due; Infinity if none is. */
  nextDueAt(): number {
    let next = Infinity;
    for (const { busy, dueAt } of this.byAttempt.values()) if (!busy && dueAt < next) next = dueAt;
    return next;
  }

  /**
   * The jobs to ask about together: due by `horizon`, of one kind, those that callers wait for first; but every other time
   * those first that have been due for longest, if that is long, since there may always be a caller who waits. Some that
   * the node has had for longer than these come along: an end tells how many jobs run there at once only if it is known
   * which earlier ones had not ended by then.
   */
  due(now: number, horizon: number): Watch[] {
    const due = [...this.idle()].filter(({ dueAt }) => dueAt <= horizon);
    this.turnOfOldest = !this.turnOfOldest && due.some(({ dueAt }) => now - dueAt > PATIENCE_MS);
    const isPreferred = ({ wantedUntil }: Watch): boolean => !this.turnOfOldest && wantedUntil > now;
    due.sort((a, b) => Number(isPreferred(b)) - Number(isPreferred(a)) || a.dueAt - b.dueAt);
    const [first] = due;
    if (first === undefined) return [];
    const alike = due.filter((watch) => isChain(watch) === isChain(first));
    return [...alike, ...this.companionsOf(alike, isChain(first))];
  }

  /** How many jobs of its kind came before this one and were seen to be open still at that time. */
  overtakenBy(watch: Watch, at: number): number {
    const kind = kindOf(watch.job);
    let overtaken = 0;
    for (const earlier of this.byAttempt.values()) {
      if (earlier === watch) break;
      if (earlier.openAt >= at && earlier.seen && kindOf(earlier.job) === kind) overtaken += 1;
    }
    return overtaken;
  }

  /**
   * Jobs that came before the last of these and are not due yet, the first first. One that was absent is left out: the
   * pause before the question that decides is meant to be one.
   */
  private companionsOf(due: readonly Watch[], areChains: boolean): Watch[] {
    const last = Math.max(...due.map(({ since }) => since));
    const known = new Set(due);
    const companions: Watch[] = [];
    for (const watch of this.byAttempt.values()) {
      if (watch.since > last || companions.length === MAX_COMPANIONS) break;
      if (watch.busy || watch.absences > 0 || known.has(watch)) continue;
      if (isChain(watch) === areChains) companions.push(watch);
    }
    return companions;
  }
}

/** Only chains have intermediate results worth asking for. */
export function isChain({ job }: Watch): boolean {
  return job.containers.length > 1;
}

/** Jobs for the same containers take alike long, and give alike much. */
export function kindOf(job: DeliveredJob): string {
  return job.containers.join(' ');
}
