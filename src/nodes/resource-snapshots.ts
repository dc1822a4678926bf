import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { messageOf } from '../errors.js';
import { readResources, type ResourceEntries } from '../protocol/resources.js';
import { ResourcesRepository } from './resources.repository.js';

/** What a node answered to a question about its resources. */
export interface ResourceSnapshot {
  readonly entries: ResourceEntries;
  /** When, on this process's monotonic clock. */
  readonly seenAtMs: number;
}

/** The question about the resources themselves; any other is the id of a model. */
export const ALL_RESOURCES = '';

/** Models whose answers are kept in memory, those that were asked for last. */
const MOST_MODELS = 200;
/** How long the database may keep a reader waiting, in ms; after that it has to do with what is known here. */
const READ_WITHIN_MS = 200;
/** Statements that were under way at the last look may have become visible since; looked at again this far back, in ms. */
const OVERLAP_MS = 2_000;

interface Shelf {
  readonly byNode: Map<string, ResourceSnapshot>;
  /** The newest answer in the database that was seen. */
  newest: Date | undefined;
}

/**
 * The answers of all nodes about their resources, of each the last one that was good: in memory, brought up to date from
 * the database, where the replicas leave them for each other.
 */
@Injectable()
export class ResourceSnapshots {
  private readonly log = new Logger(ResourceSnapshots.name);
  private readonly shelves = new Map<string, Shelf>();

  constructor(private readonly repository: ResourcesRepository) {}

  /** What is known of a question here, by node. */
  known(question: string): ReadonlyMap<string, ResourceSnapshot> {
    return this.shelf(question).byNode;
  }

  /** The same after a look at the database, unless that takes long. Never throws. */
  async read(question: string): Promise<ReadonlyMap<string, ResourceSnapshot>> {
    const timeUp = new AbortController();
    const late = sleep(READ_WITHIN_MS, undefined, { signal: timeUp.signal }).catch(() => undefined);
    await Promise.race([this.refresh(question), late]);
    timeUp.abort();
    return this.known(question);
  }

  /** A node answered; others will know. @throws Error if the answer is none */
  async put(nodeId: string, question: string, body: Buffer): Promise<void> {
    const entries = readResources(body);
    this.shelf(question).byNode.set(nodeId, { entries, seenAtMs: performance.now() });
    await this.repository.save(nodeId, question, body);
  }

  private async refresh(question: string): Promise<void> {
    const shelf = this.shelf(question);
    try {
      const after = shelf.newest === undefined ? undefined : new Date(shelf.newest.getTime() - OVERLAP_MS);
      for (const { nodeId, body, ageMs, seenAt } of await this.repository.since(question, after)) {
        if (shelf.newest === undefined || seenAt > shelf.newest) shelf.newest = seenAt;
        const seenAtMs = performance.now() - ageMs;
        const known = shelf.byNode.get(nodeId);
        if (known !== undefined && known.seenAtMs >= seenAtMs) continue;
        shelf.byNode.set(nodeId, { entries: readResources(Buffer.from(body)), seenAtMs });
      }
    } catch (error) {
      this.log.warn(`The resources of nodes could not be read: ${messageOf(error)}`);
    }
  }

  private shelf(question: string): Shelf {
    const shelf = this.shelves.get(question) ?? { byNode: new Map(), newest: undefined };
    // A map keeps the order of insertion: what was asked for last is moved to the end.
    this.shelves.delete(question);
    this.shelves.set(question, shelf);
    for (const oldest of this.shelves.keys()) {
      if (this.shelves.size <= MOST_MODELS) break;
      if (oldest !== ALL_RESOURCES) this.shelves.delete(oldest);
    }
    return shelf;
  }
}
