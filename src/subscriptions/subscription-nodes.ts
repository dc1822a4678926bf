import { performance } from 'node:perf_hooks';
import { Injectable } from '@nestjs/common';
import { Fleet } from '../nodes/fleet.js';
import type { FleetNode } from '../nodes/node.js';
import type { DelegatedRequest, SubscribedContainers } from '../protocol/delegated-request.js';
import type { Candidate } from './placing.js';
import { SelectionIndex } from './selection-index.js';

/** Why a subscription is not taken, in the words of a node. */
export interface Refusal {
  readonly status: number;
  readonly error: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** What was given to a node lately counts as pending there until the node was surely asked again, in ms. */
const REMEMBERED_MS = 10_000;

/** How long a node that did not answer is asked last, in ms; probes tell within that time whether it is down. */
const AVOIDED_MS = 10_000;

/** Which nodes can serve a delegated subscription, and which of them first. */
@Injectable()
export class SubscriptionNodes {
  private readonly index = new SelectionIndex();
  /** By node: what the index was told, and what was given to it lately. */
  private readonly indexed = new Map<string, ReadonlyMap<string, unknown>>();
  private readonly given = new Map<string, { count: number; sinceMs: number }>();

  /** Until when a node that did not answer is asked only if there is no other. */
  private readonly avoidUntil = new Map<string, number>();

  constructor(private readonly fleet: Fleet) {
    fleet.on('joined', (node) => this.update(node));
    fleet.on('changed', (node) => this.update(node));
    fleet.on('left', ({ id }) => {
      this.indexed.delete(id);
      this.given.delete(id);
      this.avoidUntil.delete(id);
      this.index.update(id, []);
    });
  }

  /** Why no registered node can ever take it; undefined if one can, be it up or not. In the order of a node's checks. */
  refusalFor({ containers, signature: { expiry } }: DelegatedRequest, nowMs: number): Refusal | undefined {
    const nodes = this.fleet.nodes.filter(({ config }) => config.state !== 'removing');
    if (!nodes.some((node) => node.supports('delegation') || node.supports('old-delegation'))) {
      return { status: 405, error: 'Chain not enabled', params: {} };
    }
    if (expiry < Math.floor(nowMs / 1_000)) {
      return { status: 405, error: 'Signature expired', params: { expiry } };
    }
    const takers = nodes.filter((node) => node.supports(featureOf(containers)));
    if (takers.length === 0) {
      const { form } = containers;
      return { status: 405, error: 'No node takes subscriptions of this form', params: { form } };
    }
    if (containers.form === '1.x' || takers.some((node) => node.runs(containers.ids))) return undefined;
    const longest = Math.max(...takers.map((node) => node.prefixOf(containers.ids)));
    const container = containers.ids[longest] as string;
    return { status: 405, error: 'Container not supported', params: { container } };
  }

  /**
   * The nodes that can serve these containers, those with the least work for their weight first, and last those that
   * did not answer a moment ago. A hash that is not
   * known is a matter for every node that has a chain.
   */
  candidates(containers: SubscribedContainers): Candidate[] {
    const ids = this.containersOf(containers);
    return this.fleet.nodes
      .filter((node) => node.supports(featureOf(containers)) && node.config.state !== 'removing')
      .filter((node) => ids === undefined || node.runs(ids))
      .map((node) => ({ node, load: this.loadOf(node), avoided: this.isAvoided(node) }))
      .sort((a, b) => Number(a.avoided) - Number(b.avoided) || a.load - b.load)
      .map(({ node: { id, health, config } }) => ({
        nodeId: id,
        open: health === 'up' && config.state === 'active',
      }));
  }

  /** The containers behind a subscription, as far as they are known. */
  containersOf(containers: SubscribedContainers): readonly string[] | undefined {
    if (containers.form === '0.x') return containers.ids;
    // What other replicas learn of their nodes comes without an event.
    for (const node of this.fleet.nodes) this.update(node);
    return this.index.containersOf(containers.hash);
  }

  /** Each of these nodes was given one more. */
  gave(nodeIds: readonly string[]): void {
    const nowMs = performance.now();
    for (const nodeId of nodeIds) {
      const known = this.given.get(nodeId);
      if (known !== undefined && nowMs - known.sinceMs <= REMEMBERED_MS) known.count += 1;
      else this.given.set(nodeId, { count: 1, sinceMs: nowMs });
    }
  }

  /** The node did not answer. */
  failed(nodeId: string): void {
    this.avoidUntil.set(nodeId, performance.now() + AVOIDED_MS);
  }

  private isAvoided({ id }: FleetNode): boolean {
    return performance.now() < (this.avoidUntil.get(id) ?? 0);
  }

  private loadOf({ id, info, config }: FleetNode): number {
    const { offchain, onchain } = info?.pending ?? { offchain: 0, onchain: 0 };
    const given = this.given.get(id);
    const recent =
      given !== undefined && performance.now() - given.sinceMs <= REMEMBERED_MS ? given.count : 0;
    return (offchain + onchain + recent) / config.weight;
  }

  /** Only nodes that take hashes are of interest; of the others, and of one that lost its chain, none are kept. */
  private update(node: FleetNode): void {
    const containers = node.supports('delegation') ? node.containers : NONE;
    if (this.indexed.get(node.id) === containers) return;
    this.indexed.set(node.id, containers);
    this.index.update(node.id, containers.keys());
  }
}

const NONE: ReadonlyMap<string, unknown> = new Map();

function featureOf({ form }: SubscribedContainers): 'delegation' | 'old-delegation' {
  return form === '1.x' ? 'delegation' : 'old-delegation';
}
