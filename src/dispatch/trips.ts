/** The trips that are under way. Of one job there may be two: after a cancellation and a retry, or a rescue. */
export class Trips {
  private readonly open = new Set<Promise<unknown>>();
  private readonly byJob = new Map<string, number>();

  /** Whether this job is on its way to a node right now. */
  has(jobId: string): boolean {
    return this.byJob.has(jobId);
  }

  /**
   * Counts a trip until it is over, and only then tells what came of it.
   * @returns the trip, with `onEnd` or `onError` called before
   */
  follow<T>(
    jobId: string,
    trip: Promise<T>,
    onEnd: (end: T) => void,
    onError: (error: unknown) => void,
  ): Promise<T> {
    this.byJob.set(jobId, (this.byJob.get(jobId) ?? 0) + 1);
    const arrived = (): void => {
      this.open.delete(outcome);
      const others = (this.byJob.get(jobId) ?? 1) - 1;
      if (others === 0) this.byJob.delete(jobId);
      else this.byJob.set(jobId, others);
    };
    const outcome = trip.then(
      (end) => {
        arrived();
        onEnd(end);
        return end;
      },
      (error: unknown) => {
        arrived();
        onError(error);
        throw error;
      },
    );
    this.open.add(outcome);
    return outcome;
  }

  /** Resolves when those that are under way now are over, however. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.open);
  }
}
