import { Injectable, Logger } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { RecordedStatusesRepository } from '../jobs/recorded-statuses.repository.js';
import { ResourcesRepository } from '../nodes/resources.repository.js';
import { JobsRepository } from '../jobs/jobs.repository.js';
import { OffersRepository } from '../subscriptions/offers.repository.js';

/** Rows deleted by one statement: small steps keep locks short and leave room for others. */
const STEP = 1_000;

/**
 * Deletes jobs and subscriptions that ended longer ago than the setting RETENTION, with all that belongs to them, and
 * what nodes said that nobody asks for any more.
 */
@Injectable()
export class Retention {
  private readonly log = new Logger(Retention.name);

  constructor(
    private readonly jobs: JobsRepository,
    private readonly offers: OffersRepository,
    private readonly statuses: RecordedStatusesRepository,
    private readonly resources: ResourcesRepository,
    private readonly settings: Settings,
  ) {}

  /** Deletes all that is due. @returns how many jobs and subscriptions */
  async runOnce(): Promise<number> {
    await this.resources.deleteOld();
    const before = new Date(Date.now() - this.settings.retention);
    const jobs = await inSteps((limit) => this.jobs.deleteFinishedBefore(before, limit));
    if (jobs > 0) this.log.log(`Deleted ${jobs} jobs that ended before ${before.toISOString()}`);
    const subscriptions = await inSteps((limit) => this.offers.deleteFinishedBefore(before, limit));
    const statuses = await inSteps((limit) => this.statuses.deleteBefore(before, limit));
    return jobs + subscriptions + statuses;
  }
}

async function inSteps(deleteSome: (limit: number) => Promise<number>): Promise<number> {
  let total = 0;
  for (;;) {
    const deleted = await deleteSome(STEP);
    total += deleted;
    if (deleted < STEP) return total;
  }
}
