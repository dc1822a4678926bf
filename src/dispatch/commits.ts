import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '../errors.js';
import { isDatabaseUnavailable } from '../persistence/database-errors.js';
import { AttemptStore, type Attempt, type NewJob } from './attempt-store.js';

/** How long somebody who needs the database leaves it alone when it was away. */
export const DATABASE_RETRY_MS = 500;

/**
 * The store through an outage of the database: a new job is refused in time, since its caller can try again; what
 * happens to a stored one is repeated until it is committed, since nobody else would know of it.
 */
@Injectable()
export class Commits {
  private stopping = false;

  constructor(private readonly store: AttemptStore) {}

  /**
   * Commits a new job with its first attempt, if there is one. When this throws the application is told that its job was not
   * stored, so if it was all the same (the connection broke, or it came late), it is taken away again.
   * @param deadline on the clock of `Date.now()`
   * @returns as the store does
   * @throws GatewayError DATABASE_UNAVAILABLE after `deadline`; whatever the store throws
   */
  async admit(job: NewJob, attempt: Attempt | undefined, deadline: number): Promise<boolean> {
    const admission = this.store.admit(job, attempt);
    try {
      return await inTime(admission, deadline);
    } catch (error) {
      const withdraw = (): Promise<void> => this.commit(() => this.store.withdraw(job.id));
      admission.then(withdraw, withdraw).catch(() => undefined);
      throw error;
    }
  }

  /** Runs a transition until it is committed, however long the database is away. */
  async commit<T>(transition: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await transition();
      } catch (error) {
        if (!isDatabaseUnavailable(error) || this.stopping) throw error;
        await sleep(DATABASE_RETRY_MS, undefined, { ref: false });
      }
    }
  }

  /** Nothing is repeated any more. */
  stop(): void {
    this.stopping = true;
  }
}

function inTime(admission: Promise<boolean>, deadline: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    // A timer that an AbortSignal ends costs as much as all the rest of a submission's dispatch.
    const timer = setTimeout(() => {
      reject(
        new GatewayError('DATABASE_UNAVAILABLE', 'The database does not answer; the job was not stored'),
      );
    }, deadline - Date.now());
    admission.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
