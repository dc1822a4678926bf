import { Controller, Get, Post, UseGuards } from '@nestjs/common';
import { ApiCall, Input, type InputOf } from '../http/api-call.js';
import { SubscriptionOperations } from '../subscriptions/subscription-operations.js';
import { AdminGuard } from './admin.guard.js';
import * as calls from './subscription-calls.js';
import { subscriptionRow, subscriptionView } from './subscription-view.js';

/** Operators' calls about delegated subscriptions. */
@Controller('admin/subscriptions')
@UseGuards(AdminGuard)
export class AdminSubscriptionsController {
  constructor(private readonly operations: SubscriptionOperations) {}

  /** Newest first; `cursor` of one page asks for the next, and is null on the last. */
  @Get()
  @ApiCall(calls.listSubscriptions)
  async list(
    @Input() { query }: InputOf<typeof calls.listSubscriptions>,
  ): Promise<{ subscriptions: calls.SubscriptionRowView[]; cursor: string | null }> {
    const { cursor, limit, ...wanted } = query;
    const found = await this.operations.list(wanted, cursor, limit);
    const next = found.length === limit ? (found.at(-1)?.id ?? null) : null;
    return { subscriptions: found.map(subscriptionRow), cursor: next };
  }

  @Get(':id')
  @ApiCall(calls.showSubscription)
  async show(@Input() { params }: InputOf<typeof calls.showSubscription>): Promise<calls.SubscriptionView> {
    return subscriptionView(await this.operations.find(params.id));
  }

  @Post(':id/retry')
  @ApiCall(calls.retrySubscription)
  async retry(@Input() { params }: InputOf<typeof calls.retrySubscription>): Promise<calls.SubscriptionView> {
    return subscriptionView(await this.operations.retry(params.id));
  }
}
