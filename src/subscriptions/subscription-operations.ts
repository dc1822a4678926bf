import { Injectable } from '@nestjs/common';
import { GatewayError } from '../errors.js';
import { AdmissionsRepository } from './admissions.repository.js';
import { Offering } from './offering.js';
import {
  RecordsRepository,
  type StoredSubscription,
  type SubscriptionFilter,
  type SubscriptionRecord,
} from './records.repository.js';

/** What operators do with delegated subscriptions. */
@Injectable()
export class SubscriptionOperations {
  constructor(
    private readonly records: RecordsRepository,
    private readonly admissions: AdmissionsRepository,
    private readonly offering: Offering,
  ) {}

  /** A page, newest first. @param before the last one of the page before */
  async list(
    filter: SubscriptionFilter,
    before: string | undefined,
    limit: number,
  ): Promise<StoredSubscription[]> {
    return this.records.list(filter, before, limit);
  }

  /** @throws GatewayError NOT_FOUND */
  async find(id: string): Promise<SubscriptionRecord> {
    const record = await this.records.find(id);
    if (record === undefined) throw new GatewayError('NOT_FOUND', `There is no subscription ${id}`, { id });
    return record;
  }

  /**
   * Offers one that is over once more: to the nodes that have it, which may have forgotten it, or to all.
   * @throws GatewayError NOT_FOUND, SUBSCRIPTION_NOT_ENDED
   */
  async retry(id: string): Promise<SubscriptionRecord> {
    const { subscription } = await this.find(id);
    const offers = await this.admissions.reopen(id);
    if (offers === undefined) {
      const { state } = subscription;
      const message = `Only a subscription that is over, and whose signature is not, can be retried; this one is ${state}`;
      throw new GatewayError('SUBSCRIPTION_NOT_ENDED', message, { state });
    }
    void this.offering.begin(id, offers);
    await this.offering.advance(id);
    return this.find(id);
  }
}
