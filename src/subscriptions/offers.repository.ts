import { Injectable } from '@nestjs/common';
import type { Prisma } from '../generated/prisma/client.js';
import { Database, storableText } from '../persistence/database.js';
import type { SubscribedContainers } from '../protocol/delegated-request.js';
import type { PlacedOffer, Placing } from './placing.js';
import { containersFrom } from './subscription-state.js';
import { uuidv7 } from '../protocol/uuid.js';

/** An offer that may be sent. */
export interface MadeOffer {
  readonly id: string;
  readonly nodeId: string;
}

/** An offer that this replica may send now. */
export interface ClaimedOffer extends MadeOffer {
  readonly fence: number;
  /** Sends in a row that failed. */
  readonly failures: number;
  /** For how long the node may have had it without having said so, in ms; 0 if it cannot have it. */
  readonly unclearMs: number;
  readonly body: Buffer;
}

/** What became of an offer that was sent and not accepted. */
export type OfferEnding =
  | { readonly state: 'refused'; readonly reason: string }
  | {
      /** It goes again after the pause, or another node gets its place. */
      readonly state: 'pending' | 'unreachable' | 'lost';
      readonly reason: string;
      readonly pauseMs: number;
      /** Whether it counts among the sends in a row that failed. */
      readonly failed: boolean;
      /** Whether the node may have it. */
      readonly unclear: boolean;
    };

/** A subscription after its places were given away. */
export interface Placed {
  readonly state: 'open' | 'accepted' | 'refused';
  /** Offers to be sent now: new ones, and those whose time has come again. */
  readonly due: readonly MadeOffer[];
  readonly checkInMs: number;
}

interface SubscriptionRow {
  readonly form: string;
  readonly containers: string;
  readonly redundancy: number;
}

type Tx = Prisma.TransactionClient;

/** Offers taken by one statement. */
const STEP = 200;
/** What this replica has claimed so long ago and is not sending was dropped by an error, in s. */
const FORGOTTEN_SECONDS = 60;
/** Stored times are rounded to ms, so what was set to now may lie ahead of it; messages may come early as well. In s. */
const SLACK_SECONDS = 0.05;
const PATIENCE = { maxWait: 10_000, timeout: 10_000 };

/**
 * The transitions of open subscriptions and their offers in PostgreSQL; see subscription-state.ts. What only the holder
 * of a node's lease may do carries the fencing number, and changes nothing once the lease is another's.
 */
@Injectable()
export class OffersRepository {
  constructor(private readonly database: Database) {}

  /**
   * Gives the free places of a subscription to nodes, or ends it, as `decide` says; one replica at a time.
   * @param when `due`: only if nobody has looked at it since it was said when to look again
   * @returns undefined if it is not open, or not due
   */
  async place(
    subscriptionId: string,
    when: 'now' | 'due',
    decide: (
      subscription: { containers: SubscribedContainers; redundancy: number },
      offers: readonly PlacedOffer[],
    ) => Placing,
  ): Promise<Placed | undefined> {
    return this.database.$transaction(async (tx) => {
      const [row] = await tx.$queryRaw<SubscriptionRow[]>`
        SELECT form, containers, redundancy FROM subscriptions
        WHERE id = ${subscriptionId}::uuid AND state = 'open' AND deadline_at > now()
          AND (${when === 'now'} OR check_at < now() + make_interval(secs => ${SLACK_SECONDS})) FOR UPDATE`;
      if (row === undefined) return undefined;
      await this.freeOrphans(tx, subscriptionId);
      const offers = await tx.$queryRaw<PlacedOffer[]>`
        SELECT id, node_id AS "nodeId", state::text AS state,
               extract(epoch FROM retry_at - now())::float8 * 1000 AS "dueInMs"
        FROM subscription_offers WHERE subscription_id = ${subscriptionId}::uuid ORDER BY id`;
      const containers = containersFrom(row.form, row.containers);
      const placing = decide({ containers, redundancy: row.redundancy }, offers);
      const { start, again, end, checkInMs } = placing;
      await insertOffers(
        tx,
        start.map((nodeId) => ({ id: uuidv7(), subscriptionId, nodeId })),
      );
      if (again.length > 0) {
        await tx.$executeRaw`
          UPDATE subscription_offers SET state = 'pending', finished_at = NULL, retry_at = now()
          WHERE id = ANY(${[...again]}::uuid[])`;
      }
      await tx.$executeRaw`
        UPDATE subscriptions SET state = ${end ?? 'open'}::subscription_state,
               finished_at = CASE WHEN ${end !== undefined} THEN now() END,
               check_at = now() + make_interval(secs => ${checkInMs}::float8 / 1000)
        WHERE id = ${subscriptionId}::uuid`;
      if (end !== undefined) await this.withdrawOpen(tx, subscriptionId);
      const due = await tx.$queryRaw<MadeOffer[]>`
        SELECT id, node_id AS "nodeId" FROM subscription_offers
        WHERE subscription_id = ${subscriptionId}::uuid AND state = 'pending'
          AND retry_at < now() + make_interval(secs => ${SLACK_SECONDS})`;
      return { state: end ?? 'open', due, checkInMs };
    }, PATIENCE);
  }

  /** `pending` → `sending`, for whoever holds the node's lease. @returns undefined if it is not to be sent, or not by us */
  async claim(offerId: string, fence: number): Promise<ClaimedOffer | undefined> {
    const [row] = await this.database.$queryRaw<
      (Omit<ClaimedOffer, 'fence' | 'body'> & { body: Uint8Array })[]
    >`
      UPDATE subscription_offers AS offer
      SET state = 'sending', sends = sends + 1, fence = ${fence}, sent_at = now()
      FROM subscriptions, nodes
      WHERE offer.id = ${offerId}::uuid AND offer.state = 'pending'
        AND subscriptions.id = subscription_id AND subscriptions.state = 'open' AND deadline_at > now()
        AND nodes.id = node_id AND lease_fence = ${fence} AND lease_until > now()
        AND (nodes.state = 'active' OR unclear_since IS NOT NULL)
      RETURNING offer.id, node_id AS "nodeId", failures, body,
                coalesce(extract(epoch FROM now() - unclear_since), 0)::float8 * 1000 AS "unclearMs"`;
    return row === undefined ? undefined : { ...row, fence, body: Buffer.from(row.body) };
  }

  /**
   * `sending` → accepted, whoever brings the news. Ends the subscription if this takes its last place.
   * @returns whether it did
   */
  async accept(offerId: string): Promise<boolean> {
    const ended = await this.database.$executeRaw`
      WITH offer AS (
        UPDATE subscription_offers
        SET state = 'accepted', reason = NULL, failures = 0, unclear_since = NULL, finished_at = now()
        WHERE id = ${offerId}::uuid AND state <> 'refused' RETURNING id, subscription_id)
      UPDATE subscriptions SET state = 'accepted', finished_at = now() FROM offer
      WHERE subscriptions.id = subscription_id AND (subscriptions.state = 'expired'
        OR (subscriptions.state = 'open' AND greatest(redundancy, 1) <= 1 + (
          SELECT count(*) FROM subscription_offers AS other
          WHERE other.subscription_id = subscriptions.id AND other.id <> offer.id AND other.state = 'accepted')))`;
    return ended === 1;
  }

  /** `sending` → what a node's answer means that is no acceptance. */
  async end({ id, fence }: ClaimedOffer, ending: OfferEnding): Promise<void> {
    const reason = storableText(ending.reason);
    if (ending.state === 'refused') {
      await this.database.$executeRaw`
        UPDATE subscription_offers
        SET state = 'refused', reason = ${reason}, unclear_since = NULL, finished_at = now()
        WHERE id = ${id}::uuid AND state = 'sending' AND fence = ${fence}`;
    } else {
      const { state, pauseMs, failed, unclear } = ending;
      await this.database.$executeRaw`
        UPDATE subscription_offers
        SET state = ${state}::offer_state, reason = ${reason}, failures = failures + ${failed ? 1 : 0},
            unclear_since = CASE WHEN ${unclear} THEN coalesce(unclear_since, sent_at) ELSE unclear_since END,
            retry_at = now() + make_interval(secs => ${pauseMs}::float8 / 1000)
        WHERE id = ${id}::uuid AND state = 'sending' AND fence = ${fence}`;
    }
  }

  /**
   * The offers that are to be sent to a node now. Those left `sending`, by an earlier holder of the lease or by an
   * error here, are among them: the node may have them, so it and no other is asked again.
   * @param flying the offers that this replica is sending
   */
  async dueAt(
    nodeId: string,
    fence: number,
    flying: readonly string[],
  ): Promise<(MadeOffer & { readonly subscriptionId: string })[]> {
    await this.database.$executeRaw`
      UPDATE subscription_offers
      SET state = 'pending', unclear_since = coalesce(unclear_since, sent_at), retry_at = now(),
          reason = 'the gateway that sent it did not see an answer'
      WHERE node_id = ${nodeId}::uuid AND state = 'sending'
        AND (fence <> ${fence} OR (
          NOT id = ANY(${[...flying]}::uuid[]) AND sent_at < now() - make_interval(secs => ${FORGOTTEN_SECONDS})))
        AND EXISTS (
          SELECT 1 FROM nodes WHERE nodes.id = node_id AND lease_fence = ${fence} AND lease_until > now())`;
    return this.database.$queryRaw`
      SELECT offer.id, node_id AS "nodeId", subscription_id AS "subscriptionId" FROM subscription_offers AS offer
      JOIN subscriptions ON subscriptions.id = subscription_id
      WHERE node_id = ${nodeId}::uuid AND offer.state = 'pending' AND retry_at <= now()
        AND subscriptions.state = 'open' AND NOT offer.id = ANY(${[...flying]}::uuid[])
      ORDER BY offer.id LIMIT ${STEP}`;
  }

  /** Open subscriptions that have free places. */
  async unplaced(): Promise<string[]> {
    return idsOf(
      await this.database.$queryRaw`
        SELECT id FROM subscriptions WHERE state = 'open' AND greatest(redundancy, 1) > (
          SELECT count(*) FROM subscription_offers
          WHERE subscription_id = subscriptions.id AND state IN ('pending', 'sending', 'accepted'))
        ORDER BY id LIMIT ${STEP}`,
    );
  }

  /** Open subscriptions that should have been looked at by now. */
  async overdue(): Promise<string[]> {
    return idsOf(
      await this.database.$queryRaw`
        SELECT id FROM subscriptions WHERE state = 'open' AND check_at < now() - interval '3 seconds'
        ORDER BY check_at LIMIT ${STEP}`,
    );
  }

  /** Nodes with offers that should have been sent, or answered, by now. */
  async overdueNodes(): Promise<string[]> {
    return idsOf(
      await this.database.$queryRaw`
        SELECT DISTINCT node_id AS id FROM subscription_offers
        WHERE (state = 'pending' AND retry_at < now() - interval '3 seconds')
           OR (state = 'sending' AND sent_at < now() - make_interval(secs => ${FORGOTTEN_SECONDS}))`,
    );
  }

  /** Open subscriptions past their deadline → `accepted` if a node has them, else `expired`. @returns how many */
  async expire(): Promise<number> {
    return this.database.$transaction(async (tx) => {
      const ids = idsOf(
        await tx.$queryRaw`
          UPDATE subscriptions SET finished_at = now(), state = (CASE WHEN EXISTS (
              SELECT 1 FROM subscription_offers
              WHERE subscription_id = subscriptions.id AND subscription_offers.state = 'accepted')
            THEN 'accepted' ELSE 'expired' END)::subscription_state
          WHERE id IN (
            SELECT id FROM subscriptions WHERE state = 'open' AND deadline_at <= now()
            LIMIT ${STEP} FOR UPDATE SKIP LOCKED)
          RETURNING id`,
      );
      for (const id of ids) await this.withdrawOpen(tx, id);
      return ids.length;
    }, PATIENCE);
  }

  /** Deletes subscriptions that ended before a time, with their offers. @returns how many */
  async deleteFinishedBefore(before: Date, limit: number): Promise<number> {
    return this.database.$executeRaw`
      DELETE FROM subscriptions WHERE id IN (
        SELECT id FROM subscriptions WHERE finished_at < ${before} ORDER BY finished_at LIMIT ${limit})`;
  }

  /** Frees the places of offers that their node will not see: it is gone, or takes nothing new. */
  private async freeOrphans(tx: Tx, subscriptionId: string): Promise<void> {
    await tx.$executeRaw`
      UPDATE subscription_offers AS offer
      SET state = 'unreachable', reason = 'the node was ' || (CASE nodes.state WHEN 'removed' THEN 'removed' ELSE 'drained' END)
      FROM nodes
      WHERE subscription_id = ${subscriptionId}::uuid AND nodes.id = node_id AND (
        (nodes.state = 'removed' AND offer.state IN ('pending', 'sending'))
        OR (nodes.state <> 'active' AND offer.state = 'pending' AND unclear_since IS NULL))`;
  }

  private async withdrawOpen(tx: Tx, subscriptionId: string): Promise<void> {
    await tx.$executeRaw`
      UPDATE subscription_offers
      SET state = 'withdrawn', reason = coalesce(reason || '; ', '') || 'the subscription ended', finished_at = now()
      WHERE subscription_id = ${subscriptionId}::uuid AND state IN ('pending', 'unreachable', 'lost')`;
  }
}

/** Stores new offers. */
export async function insertOffers(
  tx: Tx,
  offers: readonly (MadeOffer & { readonly subscriptionId: string })[],
): Promise<void> {
  if (offers.length === 0) return;
  await tx.$executeRaw`
    INSERT INTO subscription_offers (id, subscription_id, node_id, state)
    SELECT id, subscription_id, node_id, 'pending' FROM unnest(
      ${offers.map(({ id }) => id)}::uuid[],
      ${offers.map(({ subscriptionId }) => subscriptionId)}::uuid[],
      ${offers.map(({ nodeId }) => nodeId)}::uuid[]
    ) AS input(id, subscription_id, node_id)`;
}

function idsOf(rows: unknown): string[] {
  return (rows as { id: string }[]).map(({ id }) => id);
}
