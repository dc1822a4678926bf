import { Injectable, Logger } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { ResourcesRepository } from '../nodes/resources.repository.js';
import { JobsRepository } from '../jobs/jobs.repository.js';

/** Jobs deleted by one statement: small steps keep locks short and leave room for others. */
const STEP = 1_000;

/**
 * Deletes jobs that ended longer ago than the setting RETENTION, with their attempts and payloads, and what nodes said that
 * nobody asks for any more.
 */
@Injectable()
export class Retention {
  private readonly log = new Logger(Retention.name);

  constructor(
    private readonly jobs: JobsRepository,
    private readonly resources: ResourcesRepository,
    private readonly settings: Settings,
  ) {}

  /** Deletes all that is due. @returns how many jobs */
  async runOnce(): Promise<number> {
    await this.resources.deleteOld();
    const before = new Date(Date.now() - this.settings.retention);
    let total = 0;
    for (;;) {
      const deleted = await this.jobs.deleteFinishedBefore(before, STEP);
      total += deleted;
      if (deleted < STEP) break;
    }
    if (total > 0) this.log.log(`Deleted ${total} jobs that ended before ${before.toISOString()}`);
    return total;
  }
}
