import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { Settings } from '../config/settings.js';
import type { Prisma } from '../generated/prisma/client.js';
import { Database, storableText } from '../persistence/database.js';
import { WriteGroup } from '../persistence/write-group.js';
import type { DelegatedRequest } from '../protocol/delegated-request.js';
import { insertOffers, type MadeOffer } from './offers.repository.js';
import { containersText } from './subscription-state.js';

/** What became of a request: a new subscription, an accepted one opened anew, or nothing, since it is known already. */
export type Admitted =
  | { readonly kind: 'new' | 'renewed'; readonly id: string; readonly offers: readonly MadeOffer[] }
  | { readonly kind: 'repeated'; readonly id: string };

interface Admission {
  readonly request: DelegatedRequest;
  readonly caller: string;
  /** The nodes to make offers to, the preferred ones first if they can be used. */
  readonly choose: (preferred: ReadonlySet<string>) => readonly string[];
}

interface KnownRow {
  readonly id: string;
  readonly state: 'open' | 'accepted';
  readonly same: boolean;
  readonly quiet: boolean;
}

/** A repetition of an accepted request is taken for an echo of it this long, in s; later it means what it says. */
const ECHO_SECONDS = 60;
/** How long a transaction may wait for a connection, and take, in ms. */
const PATIENCE = { maxWait: 10_000, timeout: 10_000 };

/**
 * Commits delegated subscriptions together with their first offers, many in one transaction. The same request of the
 * same caller, by owner, nonce and bytes, is taken once.
 */
@Injectable()
export class AdmissionsRepository {
  private readonly group: WriteGroup<Admission, Admitted>;

  constructor(
    private readonly database: Database,
    private readonly settings: Settings,
  ) {
    this.group = new WriteGroup<Admission, Admitted>({
      name: 'subscriptions',
      flush: (items) => this.write(items),
      sizeOf: ({ request }) => request.body.length,
      concurrency: 2,
      maxItems: 50,
    });
  }

  /** Resolves when it is committed. */
  async admit(request: DelegatedRequest, caller: string, choose: Admission['choose']): Promise<Admitted> {
    return this.group.add({ request, caller, choose });
  }

  /**
   * Opens a subscription anew, whatever became of it, so that it is offered again to the nodes that had it.
   * @returns undefined if there is none, or its signature has ended
   */
  async reopen(id: string): Promise<readonly MadeOffer[] | undefined> {
    return this.database.$transaction(async (tx) => {
      const rows = await tx.$queryRaw<unknown[]>`
        SELECT id FROM subscriptions
        WHERE id = ${id}::uuid AND expires_at > now() AND state <> 'superseded' FOR UPDATE`;
      return rows.length === 0 ? undefined : this.renew(tx, id);
    }, PATIENCE);
  }

  private async write(items: readonly Admission[]): Promise<Admitted[]> {
    return this.database.$transaction(async (tx) => {
      const keys = items.map(({ request, caller }) => keyOf(request, caller));
      // In one order everywhere, so that nobody waits in a circle.
      await tx.$executeRaw`
        SELECT pg_advisory_xact_lock(hashtextextended(key, 0))
        FROM (SELECT DISTINCT key FROM unnest(${keys}::text[]) AS key ORDER BY key) AS keys`;
      const admitted: Admitted[] = [];
      for (const item of items) admitted.push(await this.admitOne(tx, item));
      return admitted;
    }, PATIENCE);
  }

  private async admitOne(
    tx: Prisma.TransactionClient,
    { request, caller, choose }: Admission,
  ): Promise<Admitted> {
    const digest = createHash('sha256').update(request.body).digest();
    const [known] = await tx.$queryRaw<KnownRow[]>`
      SELECT id, state::text AS state, digest = ${digest} AS same,
             finished_at > now() - make_interval(secs => ${ECHO_SECONDS}) AS quiet
      FROM subscriptions
      WHERE owner = ${request.owner} AND nonce = ${String(request.signature.nonce)}::bigint AND caller = ${caller}
        AND state IN ('open', 'accepted')
      ORDER BY id DESC LIMIT 1 FOR UPDATE`;
    if (known?.same === true) {
      const { id } = known;
      if (known.state === 'open' || known.quiet) return { kind: 'repeated', id };
      return { kind: 'renewed', id, offers: await this.renew(tx, id) };
    }
    const preferred = known === undefined ? [] : await supersede(tx, known.id);
    const id = uuidv7();
    await this.insert(tx, id, { request, caller, choose }, digest);
    return { kind: 'new', id, offers: await insertOffers(tx, id, choose(new Set(preferred))) };
  }

  private async insert(
    tx: Prisma.TransactionClient,
    id: string,
    { request, caller }: Admission,
    digest: Buffer,
  ): Promise<void> {
    const { owner, signature, redundancy, containers, body } = request;
    await tx.$executeRaw`
      INSERT INTO subscriptions
        (id, caller, state, owner, nonce, redundancy, form, containers, digest, body, expires_at, deadline_at, check_at)
      SELECT ${id}::uuid, ${caller}, 'open', ${owner}, ${String(signature.nonce)}::bigint, ${redundancy}::int,
             ${containers.form}, ${storableText(containersText(containers))}, ${digest}, ${body}, expires_at,
             least(expires_at, now() + make_interval(secs => ${this.settings.jobDeadline}::float8 / 1000)),
             now() + make_interval(secs => ${this.settings.retryBaseMs}::float8 / 1000)
      FROM (SELECT to_timestamp(${signature.expiry}::float8) AS expires_at) AS signature`;
  }

  /** The nodes that had it get it again; those that refused are asked anew. */
  private async renew(tx: Prisma.TransactionClient, id: string): Promise<MadeOffer[]> {
    await tx.$executeRaw`
      UPDATE subscriptions SET state = 'open', finished_at = NULL, check_at = now(),
             deadline_at = least(expires_at, now() + make_interval(secs => ${this.settings.jobDeadline}::float8 / 1000))
      WHERE id = ${id}::uuid`;
    await tx.$executeRaw`
      DELETE FROM subscription_offers WHERE subscription_id = ${id}::uuid AND state IN ('refused', 'withdrawn')`;
    return tx.$queryRaw<MadeOffer[]>`
      UPDATE subscription_offers
      SET state = 'pending', failures = 0, unclear_since = NULL, retry_at = now(), finished_at = NULL,
          reason = 'handed in again'
      WHERE subscription_id = ${id}::uuid AND state = 'accepted' RETURNING id, node_id AS "nodeId"`;
  }
}

/** Ends an earlier version. @returns the nodes that have it, or may: a later version takes its place there */
async function supersede(tx: Prisma.TransactionClient, id: string): Promise<string[]> {
  await tx.$executeRaw`
    UPDATE subscriptions SET state = 'superseded', finished_at = now() WHERE id = ${id}::uuid`;
  const rows = await tx.$queryRaw<{ nodeId: string }[]>`
    SELECT node_id AS "nodeId" FROM subscription_offers
    WHERE subscription_id = ${id}::uuid AND (state IN ('accepted', 'sending') OR unclear_since IS NOT NULL)`;
  await tx.$executeRaw`
    UPDATE subscription_offers
    SET state = 'withdrawn', reason = 'another version was handed in', finished_at = now()
    WHERE subscription_id = ${id}::uuid AND state IN ('pending', 'unreachable', 'lost')`;
  return rows.map(({ nodeId }) => nodeId);
}

function keyOf({ owner, signature: { nonce } }: DelegatedRequest, caller: string): string {
  return `${owner} ${nonce} ${caller}`;
}
