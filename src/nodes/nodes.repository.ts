import { Injectable } from '@nestjs/common';
import type { Node, Prisma } from '../generated/prisma/client.js';
import { Database } from '../persistence/database.js';
import type { NodeInfo } from '../protocol/node-info.js';
import type { NodeConfig, NodeSummary } from './node.js';

/** A node as it is stored: its configuration, and what it last said of itself. */
export interface StoredNode {
  readonly config: NodeConfig;
  readonly snapshot: NodeInfo | undefined;
  /** What the replica that works with it said of it last. */
  readonly summary: NodeSummary | undefined;
}

/** What a new node starts with. */
export type NodeDraft = Omit<NodeConfig, 'id' | 'createdAt' | 'state' | 'leftFrom'> & { readonly id: string };

/** What may change about a node. */
export type NodeChange = Partial<Omit<NodeConfig, 'id' | 'createdAt'>>;

/** The source that lists a node from now on, and whether that makes a difference to its approval. */
export interface SourceChange {
  readonly source: NodeConfig['source'];
  /** Left out: as it was. */
  readonly approved?: boolean;
}

@Injectable()
export class NodesRepository {
  constructor(private readonly database: Database) {}

  /** All nodes that are not removed. */
  async all(): Promise<StoredNode[]> {
    const rows = await this.database.node.findMany({
      where: { state: { not: 'removed' } },
      orderBy: { createdAt: 'asc' },
    });
    return rows.map(storedNode);
  }

  async byUrl(url: string): Promise<StoredNode | undefined> {
    const row = await this.database.node.findFirst({ where: { url, state: { not: 'removed' } } });
    return row === null ? undefined : storedNode(row);
  }

  /** @returns undefined if a node that is not removed has this URL */
  async create(draft: NodeDraft): Promise<NodeConfig | undefined> {
    return unlessUrlTaken(async () => configOf(await this.database.node.create({ data: draft })));
  }

  /** @returns undefined if another node that is not removed has the new URL */
  async update(id: string, change: NodeChange): Promise<NodeConfig | undefined> {
    return unlessUrlTaken(async () =>
      configOf(await this.database.node.update({ where: { id }, data: change })),
    );
  }

  /** Of each of these URLs the node that was removed last, if one was. */
  async lastRemoved(urls: readonly string[]): Promise<NodeConfig[]> {
    if (urls.length === 0) return [];
    const rows = await this.database.node.findMany({
      where: { url: { in: [...urls] }, state: 'removed' },
      orderBy: { updatedAt: 'desc' },
      distinct: ['url'],
    });
    return rows.map(configOf);
  }

  /** `active` or `draining` → `removing`, for its source does not list it any more. @returns undefined if it is neither */
  async markLeft({ id, state }: NodeConfig): Promise<NodeConfig | undefined> {
    if (state !== 'active' && state !== 'draining') return undefined;
    const where = { id, state, leftFrom: null };
    const data = { state: 'removing', leftFrom: state } as const;
    const [row] = await this.database.node.updateManyAndReturn({ where, data });
    return row === undefined ? undefined : configOf(row);
  }

  /**
   * Back to the state that it had when it left.
   * @returns undefined if it is back already, or another node has its URL by now
   */
  async bringBack(
    { id, leftFrom, source }: NodeConfig,
    change: SourceChange,
  ): Promise<NodeConfig | undefined> {
    if (leftFrom === null) return undefined;
    return unlessUrlTaken(async () => {
      const where = { id, leftFrom, source };
      const data = { state: leftFrom, leftFrom: null, ...change };
      const [row] = await this.database.node.updateManyAndReturn({ where, data });
      return row === undefined ? undefined : configOf(row);
    });
  }

  /**
   * Under another source, unless it has left meanwhile.
   * @returns undefined if another replica has moved it already: what was said of it since then stays
   */
  async moveTo({ id, source }: NodeConfig, change: SourceChange): Promise<NodeConfig | undefined> {
    const where = { id, source, leftFrom: null, state: { not: 'removed' } } as const;
    const [row] = await this.database.node.updateManyAndReturn({ where, data: change });
    return row === undefined ? undefined : configOf(row);
  }

  async saveSnapshot(id: string, snapshot: NodeInfo): Promise<void> {
    await this.database.node.update({
      where: { id },
      // A plain copy: JSON columns take no interfaces.
      data: { snapshot: JSON.parse(JSON.stringify(snapshot)) as Prisma.InputJsonObject },
    });
  }
}

/** Prisma's code for a violated unique constraint. */
const UNIQUE_VIOLATION = 'P2002';

async function unlessUrlTaken<T>(write: () => Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await write();
  } catch (error) {
    if ((error as { code?: unknown }).code === UNIQUE_VIOLATION) return undefined;
    throw error;
  }
}

function storedNode(row: Node): StoredNode {
  return {
    config: configOf(row),
    snapshot: (row.snapshot as NodeInfo | null) ?? undefined,
    summary: (row.summary as NodeSummary | null) ?? undefined,
  };
}

function configOf(row: Node): NodeConfig {
  return {
    id: row.id,
    url: row.url,
    name: row.name,
    weight: row.weight,
    maxInFlight: row.maxInFlight,
    labels: row.labels as Record<string, string>,
    headers: row.headers as Record<string, string>,
    state: row.state,
    source: row.source as NodeConfig['source'],
    approved: row.approved,
    leftFrom: row.leftFrom,
    createdAt: row.createdAt,
  };
}
