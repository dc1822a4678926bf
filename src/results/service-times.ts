/** Weight of the newest sample in the running mean. */
const SMOOTHING = 0.1;
/** Kinds remembered; callers can make up any number of chains. */
const MAX_KINDS = 1_000;

/** Learns how long jobs of each kind take on one node, from acceptance until the result was seen. */
export class ServiceTimes {
  private readonly means = new Map<string, number>();

  learn(kind: string, ms: number): void {
    const known = this.means.get(kind);
    if (known === undefined && this.means.size >= MAX_KINDS) this.means.clear();
    this.means.set(kind, known === undefined ? ms : known + (ms - known) * SMOOTHING);
  }

  /** Undefined until a job of this kind has ended here. */
  meanMs(kind: string): number | undefined {
    return this.means.get(kind);
  }
}
