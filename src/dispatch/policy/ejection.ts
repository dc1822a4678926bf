/**
 * Keeps a node, or one kind of job on a node, out of the choice after failures that are its own fault (the outlier
 * ejection of Envoy).
 *
 * - One request carries many jobs, and each of them tells of its failure: what fails within `TOGETHER_MS` failed once.
 * - Every failure closes it for a short while (`PAUSE_MS`, doubling), so that a job is not thrown at it in a loop.
 * - Three in a row eject it for 30 s, then for 60 s each time: one job a minute is a small price for not missing by
 *   minutes that a node has recovered (with up to 300 s, p99 after a black hole missed its target). In panic, when
 *   most nodes are ejected, the choice ignores this, because something else is wrong then; the short pause it
 *   never ignores.
 * - Afterwards it is half-open: one job may try. Its success opens it again, its failure ejects it at once.
 */

/** `ejected`: nothing goes there. `trial`: half-open, and one job may go. `tried`: half-open, and that one is there. */
export type BreakerState = 'open' | 'ejected' | 'trial' | 'tried';

export const FAILURES_EJECT = 3;
const EJECTED_MS = { first: 30_000, longest: 60_000 };
const PAUSE_MS = { first: 500, longest: 30_000 };
const TOGETHER_MS = 50;

export class Breaker {
  private failures = 0;
  /** When the failure began that was counted last. */
  private failedAtMs = -Infinity;
  private pauses = 0;
  private ejections = 0;
  private pausedUntilMs = 0;
  private ejectedUntilMs = 0;
  private halfOpen = false;
  private trialOut = false;

  state(nowMs: number, panic: boolean): BreakerState {
    if (this.pausedUntilMs > nowMs) return 'ejected';
    if (!this.halfOpen || panic) return 'open';
    if (this.ejectedUntilMs > nowMs) return 'ejected';
    return this.trialOut ? 'tried' : 'trial';
  }

  /** Whether its own failures keep it out or under trial. */
  isEjected(): boolean {
    return this.halfOpen;
  }

  /** When time alone changes its state next; 0 if it does not. */
  nextChangeAt(nowMs: number, panic: boolean): number {
    if (this.pausedUntilMs > nowMs) return this.pausedUntilMs;
    return this.halfOpen && !panic && this.ejectedUntilMs > nowMs ? this.ejectedUntilMs : 0;
  }

  /** Each job of a request that failed may say so. @returns whether this failure ejected it */
  failed(nowMs: number): boolean {
    this.trialOut = false;
    if (nowMs - this.failedAtMs < TOGETHER_MS) return false;
    this.failedAtMs = nowMs;
    // Those that were on their way before it closed make it no longer.
    if (this.pausedUntilMs <= nowMs) {
      this.pausedUntilMs = nowMs + Math.min(PAUSE_MS.longest, PAUSE_MS.first * 2 ** this.pauses);
      this.pauses += 1;
    }
    this.failures += 1;
    if (this.ejectedUntilMs > nowMs || (this.failures < FAILURES_EJECT && !this.halfOpen)) return false;
    this.eject(nowMs);
    return true;
  }

  eject(nowMs: number): void {
    this.ejectedUntilMs = nowMs + Math.min(EJECTED_MS.longest, EJECTED_MS.first * 2 ** this.ejections);
    this.ejections += 1;
    this.failures = 0;
    this.halfOpen = true;
  }

  /** The one job of the half-open state is on its way. */
  tried(): void {
    this.trialOut = this.halfOpen;
  }

  /** That job ended in a way that says nothing. */
  trialSaidNothing(): void {
    this.trialOut = false;
  }

  /** Ended well: all is forgotten. @returns whether that changes anything */
  worked(): boolean {
    const changes = this.halfOpen || this.pauses > 0;
    this.failures = 0;
    this.failedAtMs = -Infinity;
    this.pauses = 0;
    this.ejections = 0;
    this.pausedUntilMs = 0;
    this.ejectedUntilMs = 0;
    this.halfOpen = false;
    this.trialOut = false;
    return changes;
  }
}
