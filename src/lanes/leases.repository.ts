import { Injectable } from '@nestjs/common';
import { Database } from '../persistence/database.js';
import type { SavedLane } from '../dispatch/policy/kinds.js';
import type { NodeSummary } from '../nodes/node.js';

/** A lease as the database gave it. */
export interface GrantedLease {
  readonly nodeId: string;
  readonly fence: number;
}

/** A lease that was taken anew, with what its earlier holders have learned of the node. */
export interface AcquiredLease extends GrantedLease {
  readonly learned: SavedLane | null;
}

/**
 * Who works with which node. All times are the database's own, so replicas need no common clock; a lease that
 * has run out is never renewed, only taken anew with the next fencing number.
 */
@Injectable()
export class LeasesRepository {
  constructor(private readonly database: Database) {}

  /** Says that this replica lives. @returns how many do, this one included, and how many nodes there are */
  async heartbeat(replicaId: string, ttlMs: number): Promise<{ replicas: number; nodes: number }> {
    await this.database.$executeRaw`
      INSERT INTO replicas (id, seen_at) VALUES (${replicaId}::uuid, now())
      ON CONFLICT (id) DO UPDATE SET seen_at = now()`;
    const [row] = await this.database.$queryRaw<{ replicas: number; nodes: number }[]>`
      SELECT (SELECT count(*)::int FROM replicas WHERE seen_at > now() - ${interval(ttlMs)}::interval) AS replicas,
             (SELECT count(*)::int FROM nodes WHERE state <> 'removed') AS nodes`;
    return row ?? { replicas: 1, nodes: 0 };
  }

  /** Prolongs this replica's leases and leaves word of its nodes. @returns the leases that it still has */
  async renew(
    replicaId: string,
    ttlMs: number,
    summaries: ReadonlyMap<string, NodeSummary>,
  ): Promise<GrantedLease[]> {
    return this.database.$queryRaw<GrantedLease[]>`
      UPDATE nodes SET lease_until = now() + ${interval(ttlMs)}::interval, summary = input.summary::jsonb
      FROM unnest(
        ${[...summaries.keys()]}::uuid[],
        ${[...summaries.values()].map((summary) => JSON.stringify(summary))}::text[]
      ) AS input(id, summary)
      WHERE nodes.id = input.id AND lease_holder = ${replicaId}::uuid AND lease_until > now()
      RETURNING nodes.id AS "nodeId", lease_fence AS fence`;
  }

  /** Takes up to `most` leases that nobody has. */
  async acquire(replicaId: string, ttlMs: number, most: number): Promise<AcquiredLease[]> {
    return this.database.$queryRaw<AcquiredLease[]>`
      UPDATE nodes SET lease_holder = ${replicaId}::uuid, lease_fence = lease_fence + 1,
             lease_until = now() + ${interval(ttlMs)}::interval
      WHERE id IN (
        SELECT id FROM nodes
        WHERE state <> 'removed' AND (lease_until IS NULL OR lease_until <= now())
        ORDER BY id LIMIT ${most} FOR UPDATE SKIP LOCKED)
      RETURNING id AS "nodeId", lease_fence AS fence, learned`;
  }

  /** Keeps what was learned of nodes, by node and under the lease of this replica. */
  async saveLearned(replicaId: string, learned: ReadonlyMap<string, SavedLane>): Promise<void> {
    await this.database.$executeRaw`
      UPDATE nodes SET learned = input.learned::jsonb
      FROM unnest(
        ${[...learned.keys()]}::uuid[],
        ${[...learned.values()].map((lane) => JSON.stringify(lane))}::text[]
      ) AS input(id, learned)
      WHERE nodes.id = input.id AND lease_holder = ${replicaId}::uuid`;
  }

  /** Gives leases back before they run out, with what was learned under them. */
  async release(replicaId: string, learned: ReadonlyMap<string, SavedLane>): Promise<void> {
    await this.saveLearned(replicaId, learned);
    await this.database.$executeRaw`
      UPDATE nodes SET lease_holder = NULL, lease_until = NULL
      WHERE id = ANY(${[...learned.keys()]}::uuid[]) AND lease_holder = ${replicaId}::uuid`;
  }

  /** This replica is going; those that have been silent for a day are forgotten with it. */
  async leave(replicaId: string): Promise<void> {
    await this.database.$executeRaw`
      DELETE FROM replicas WHERE id = ${replicaId}::uuid OR seen_at < now() - interval '1 day'`;
  }

  /** Voids all leases: for whoever knows that no other replica can be alive. */
  async voidAll(): Promise<void> {
    await this.database.$executeRaw`UPDATE nodes SET lease_holder = NULL, lease_until = NULL`;
  }
}

function interval(ms: number): string {
  return `${ms} milliseconds`;
}
