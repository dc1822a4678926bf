import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { isDatabaseUnavailable } from './database-errors.js';

const RETRY_MS = 500;

/**
 * Transitions that must not be lost in an outage of the database, since nobody else would know of them: they are repeated until
 * they are committed, or the gateway stops.
 */
@Injectable()
export class Commits {
  private stopping = false;

  /** Runs a transition until it is committed, however long the database is away. @throws what it throws otherwise */
  async commit<T>(transition: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await transition();
      } catch (error) {
        if (!isDatabaseUnavailable(error) || this.stopping) throw error;
        await sleep(RETRY_MS, undefined, { ref: false });
      }
    }
  }

  /** Nothing is repeated any more. */
  stop(): void {
    this.stopping = true;
  }
}
