import { EventEmitter } from 'node:events';
import { Injectable } from '@nestjs/common';

/** What happens to jobs, for whoever waits, counts or shows; listeners run synchronously, after the commit. */
export interface JobEventMap {
  /** A job reached its terminal state. */
  finished: [jobId: string];
  /** A caller waits for these jobs until the given time (`performance.now()`), so their results are wanted at once. */
  wanted: [jobIds: readonly string[], untilMs: number];
}

@Injectable()
export class JobEvents extends EventEmitter<JobEventMap> {
  private readonly waiters = new Map<string, Set<() => void>>();
  private stopped = false;

  constructor() {
    super();
    this.on('finished', (jobId) => {
      for (const wake of this.waiters.get(jobId) ?? []) wake();
    });
  }

  /**
   * Starts to listen for the end of any of these jobs; what happens from the call on is not missed.
   * @returns `ended` resolves when one has ended or the time is up; `stop` must be called in the end
   */
  watch(jobIds: readonly string[], timeoutMs: number): { ended: Promise<void>; stop: () => void } {
    let resolve = (): void => undefined;
    const ended = new Promise<void>((settle) => (resolve = settle));
    const timer = setTimeout(resolve, this.stopped ? 0 : timeoutMs);
    for (const id of jobIds) {
      let wakers = this.waiters.get(id);
      if (wakers === undefined) this.waiters.set(id, (wakers = new Set()));
      wakers.add(resolve);
    }
    const stop = (): void => {
      clearTimeout(timer);
      for (const id of jobIds) {
        const wakers = this.waiters.get(id);
        wakers?.delete(resolve);
        if (wakers?.size === 0) this.waiters.delete(id);
      }
      resolve();
    };
    return { ended, stop };
  }

  /** Ends all waiting, now and from now on: who waits is answered with what is known. */
  stop(): void {
    this.stopped = true;
    for (const wakers of this.waiters.values()) for (const wake of wakers) wake();
  }
}
