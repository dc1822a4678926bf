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
export type NodeDraft = Omit<NodeConfig, 'id' | 'createdAt' | 'state'> & { readonly id: string };

/** What may change about a node. */
export type NodeChange = Partial<Omit<NodeConfig, 'id' | 'createdAt' | 'source'>>;

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

async function unlessUrlTaken<T>(write: () => Promise<T>): Promise<T | undefined> {
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
    createdAt: row.createdAt,
  };
}
