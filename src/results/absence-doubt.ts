import { performance } from 'node:perf_hooks';

/**
 * Whether a node's word that it does not know a job is to be believed. A node shows a job only to the address that sent
 * it. When everything is absent at once, even a job that had ended there, the address may have changed, or the node's
 * store was emptied: absence is doubted until a job accepted after that tells which: it is shown (the store was
 * emptied) or is not (the node hides our jobs). Times on the clock of `performance.now()`.
 */
export class AbsenceDoubt {
  /** A job that ended here lately: the node keeps results over a restart, so it knows this one. */
  private witness: string | undefined;
  /** Since when absence is doubted. */
  private since: number | undefined;
  private wasSaid = false;

  /** A job to be asked about beside others that may be absent; undefined while there is none. */
  get witnessId(): string | undefined {
    return this.witness;
  }

  get isActive(): boolean {
    return this.since !== undefined;
  }

  /** The node shows a job that it accepted at that time. */
  shown(acceptedAt: number): void {
    if (!this.isNews(acceptedAt)) return;
    this.since = undefined;
    this.wasSaid = false;
    this.witness = undefined;
  }

  /** The node shows a job that has ended. */
  ended(nodeJobId: string): void {
    this.witness = nodeJobId;
  }

  /** Everything that it was asked about is absent, the witness too. */
  allVanished(): void {
    this.since ??= performance.now();
  }

  /** The node may have been restarted, with an empty store: not seeing a job says nothing. */
  nodeWasAway(): void {
    this.witness = undefined;
  }

  /** A job that the node accepted at that time is not shown. @returns whether that is news: it hides our jobs */
  hides(acceptedAt: number): boolean {
    if (this.wasSaid || !this.isNews(acceptedAt)) return false;
    this.wasSaid = true;
    return true;
  }

  private isNews(acceptedAt: number): boolean {
    return this.since !== undefined && acceptedAt > this.since;
  }
}
