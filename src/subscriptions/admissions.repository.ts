import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import type { Prisma } from '../generated/prisma/client.js';
import { Database, storableText } from '../persistence/database.js';
import { packBytes } from '../persistence/packed-bytes.js';
import { WriteGroup } from '../persistence/write-group.js';
import type { DelegatedRequest } from '../protocol/delegated-request.js';
import { insertOffers, type MadeOffer } from './offers.repository.js';
import { containersText } from './subscription-state.js';
import { uuidv7 } from '../protocol/uuid.js';

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

/** A request to be stored as a new subscription. */
interface Fresh extends Admission {
  readonly id: string;
  readonly key: string;
  readonly digest: Buffer;
  readonly offers: readonly MadeOffer[];
  /** A later version of it stands in the same group. */
  isSuperseded: boolean;
}

/** A live subscription of the same caller, owner and nonce. */
interface KnownRow {
  readonly id: string;
  readonly key: string;
  readonly state: 'open' | 'accepted';
  readonly digest: Buffer;
  /** It was accepted a moment ago. */
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
   * Opens a subscription that is over anew, so that it is offered again to the nodes that had it.
   * @returns undefined if it is not over, or its signature is
   */
  async reopen(id: string): Promise<readonly MadeOffer[] | undefined> {
    return this.database.$transaction(async (tx) => {
      const rows = await tx.$queryRaw<unknown[]>`
        SELECT id FROM subscriptions
        WHERE id = ${id}::uuid AND expires_at > now() AND state IN ('accepted', 'refused', 'expired') FOR UPDATE`;
      return rows.length === 0 ? undefined : this.renew(tx, id);
    }, PATIENCE);
  }

  private async write(items: readonly Admission[]): Promise<Admitted[]> {
    return this.database.$transaction(async (tx) => {
      const keyed = items.map((item) => ({
        ...item,
        key: keyOf(item.request, item.caller),
        digest: digestOf(item.request),
      }));
      const keys = [...new Set(keyed.map(({ key }) => key))].sort();
      // In one order everywhere, so that nobody waits in a circle.
      await tx.$executeRaw`
        SELECT pg_advisory_xact_lock(hashtextextended(key, 0)) FROM unnest(${keys}::text[]) AS key`;
      const known = await findKnown(tx, keyed);
      const fresh: Fresh[] = [];
      const admitted: Admitted[] = [];
      for (const item of keyed) {
        const row = known.get(item.key);
        const isSame = row !== undefined && item.digest.equals(row.digest);
        if (isSame && (row.state === 'open' || row.quiet)) {
          admitted.push({ kind: 'repeated', id: row.id });
        } else if (isSame) {
          admitted.push({ kind: 'renewed', id: row.id, offers: await this.renew(tx, row.id) });
          known.set(item.key, { ...row, state: 'open' });
        } else {
          // Of one that stands in this group already, as in the store, the later version wins.
          const earlier = fresh.find(({ key }) => key === item.key);
          const preferred = row === undefined || earlier !== undefined ? [] : await supersede(tx, row.id);
          if (earlier !== undefined) earlier.isSuperseded = true;
          const id = uuidv7();
          const nodeIds = item.choose(new Set(preferred));
          fresh.push({
            ...item,
            id,
            isSuperseded: false,
            offers: nodeIds.map((nodeId) => ({ id: uuidv7(), nodeId })),
          });
          admitted.push({ kind: 'new', id, offers: fresh.at(-1)?.offers ?? [] });
          known.set(item.key, { id, key: item.key, state: 'open', digest: item.digest, quiet: false });
        }
      }
      await this.insert(tx, fresh);
      return admitted;
    }, PATIENCE);
  }

  private async insert(tx: Prisma.TransactionClient, fresh: readonly Fresh[]): Promise<void> {
    if (fresh.length === 0) return;
    const requests = fresh.map(({ request }) => request);
    const bodies = packBytes(requests.map(({ body }) => body));
    await tx.$executeRaw`
      WITH packed AS (SELECT ${bodies.all}::bytea AS bodies),
      input AS (
        SELECT t.*, to_timestamp(expiry) AS expires_at FROM unnest(
          ${fresh.map(({ id }) => id)}::uuid[],
          ${fresh.map(({ caller }) => caller)}::text[],
          ${fresh.map(({ isSuperseded }) => (isSuperseded ? 'superseded' : 'open'))}::text[],
          ${requests.map(({ owner }) => owner)}::text[],
          ${requests.map(({ signature }) => String(signature.nonce))}::text[],
          ${requests.map(({ signature }) => String(signature.expiry))}::float8[],
          ${requests.map(({ redundancy }) => redundancy)}::int[],
          ${requests.map(({ containers }) => containers.form)}::text[],
          ${requests.map(({ containers }) => storableText(containersText(containers)))}::text[],
          ${fresh.map(({ digest }) => digest.toString('hex'))}::text[],
          ${bodies.offsets}::int[],
          ${bodies.lengths}::int[]
        ) AS t(id, caller, state, owner, nonce, expiry, redundancy, form, containers, digest, at, length))
      INSERT INTO subscriptions (id, caller, state, owner, nonce, redundancy, form, containers, digest, body,
                                 expires_at, deadline_at, check_at, finished_at)
      SELECT id, caller, state::subscription_state, owner, nonce::bigint, redundancy, form, containers,
             decode(digest, 'hex'), substring(bodies FROM at FOR length), expires_at,
             least(expires_at, now() + make_interval(secs => ${this.settings.jobDeadline}::float8 / 1000)),
             now() + make_interval(secs => ${this.settings.retryBaseMs}::float8 / 1000),
             CASE WHEN state = 'superseded' THEN now() END
      FROM input, packed`;
    await insertOffers(
      tx,
      fresh
        .filter(({ isSuperseded }) => !isSuperseded)
        .flatMap(({ id, offers }) => offers.map((offer) => ({ ...offer, subscriptionId: id }))),
    );
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

async function findKnown(
  tx: Prisma.TransactionClient,
  wanted: readonly { readonly key: string; readonly request: DelegatedRequest; readonly caller: string }[],
): Promise<Map<string, KnownRow>> {
  const rows = await tx.$queryRaw<
    (Omit<KnownRow, 'digest' | 'quiet'> & { digest: Uint8Array; quiet: boolean | null })[]
  >`
    SELECT id, key, state::text AS state, digest,
           finished_at > now() - make_interval(secs => ${ECHO_SECONDS}) AS quiet
    FROM unnest(
      ${wanted.map(({ key }) => key)}::text[],
      ${wanted.map(({ request }) => request.owner)}::text[],
      ${wanted.map(({ request }) => String(request.signature.nonce))}::text[],
      ${wanted.map(({ caller }) => caller)}::text[]
    ) AS input(key, owner, nonce, caller)
    JOIN subscriptions ON subscriptions.owner = input.owner AND subscriptions.nonce = input.nonce::bigint
      AND subscriptions.caller = input.caller
    WHERE state IN ('open', 'accepted') ORDER BY id`;
  return new Map(
    rows.map((row) => [row.key, { ...row, digest: Buffer.from(row.digest), quiet: row.quiet === true }]),
  );
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

function digestOf({ body }: DelegatedRequest): Buffer {
  return createHash('sha256').update(body).digest();
}
