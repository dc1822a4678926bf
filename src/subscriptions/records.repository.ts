import { Injectable } from '@nestjs/common';
import type { Prisma, SubscriptionOffer } from '../generated/prisma/client.js';
import { Database } from '../persistence/database.js';
import type { SubscriptionState } from './subscription-state.js';

/** Which subscriptions an operator asks for; what is left out does not matter. */
export interface SubscriptionFilter {
  readonly status?: SubscriptionState | undefined;
  /** A node that it was offered to. */
  readonly node?: string | undefined;
  readonly owner?: string | undefined;
  readonly caller?: string | undefined;
}

/** All but the bytes. */
const ROW = {
  id: true,
  caller: true,
  state: true,
  owner: true,
  nonce: true,
  redundancy: true,
  form: true,
  containers: true,
  createdAt: true,
  expiresAt: true,
  deadlineAt: true,
  finishedAt: true,
} satisfies Prisma.SubscriptionSelect;

/** A subscription as it is stored. */
export type StoredSubscription = Prisma.SubscriptionGetPayload<{ select: typeof ROW }>;

/** A subscription with its offers, in the order in which they were made. */
export interface SubscriptionRecord {
  readonly subscription: StoredSubscription;
  readonly offers: readonly SubscriptionOffer[];
  readonly nodeNames: ReadonlyMap<string, string>;
}

/** Operators' view of delegated subscriptions. */
@Injectable()
export class RecordsRepository {
  constructor(private readonly database: Database) {}

  /** Newest first. @param before only those that arrived before this one */
  async list(
    { status, node, owner, caller }: SubscriptionFilter,
    before: string | undefined,
    limit: number,
  ): Promise<StoredSubscription[]> {
    return this.database.subscription.findMany({
      where: {
        ...(status === undefined ? {} : { state: status }),
        ...(owner === undefined ? {} : { owner: owner.toLowerCase() }),
        ...(caller === undefined ? {} : { caller }),
        ...(node === undefined ? {} : { offers: { some: { nodeId: node } } }),
        ...(before === undefined ? {} : { id: { lt: before } }),
      },
      select: ROW,
      orderBy: { id: 'desc' },
      take: limit,
    });
  }

  async find(id: string): Promise<SubscriptionRecord | undefined> {
    const found = await this.database.subscription.findUnique({
      where: { id },
      select: { ...ROW, offers: { orderBy: { id: 'asc' } } },
    });
    if (found === null) return undefined;
    const { offers, ...subscription } = found;
    const nodes = await this.database.node.findMany({
      where: { id: { in: offers.map(({ nodeId }) => nodeId) } },
      select: { id: true, name: true },
    });
    return { subscription, offers, nodeNames: new Map(nodes.map((node) => [node.id, node.name])) };
  }
}
