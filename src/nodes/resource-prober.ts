import { performance } from 'node:perf_hooks';
import { Logger } from '@nestjs/common';
import { messageOf } from '../errors.js';
import type { FleetNode } from './node.js';
import type { NodeClient } from './node-client.js';
import { ALL_RESOURCES, type ResourceSnapshots } from './resource-snapshots.js';

export interface ResourceProberOptions {
  /** Between two looks at the resources, in ms; they are looked at at once when the node's containers have changed. */
  readonly intervalMs: number;
  /** How long the node may take, in ms: one hung container hangs the whole request (docs/protocol.md §1). */
  readonly timeoutMs: number;
}

/** Requests under way to one node; one that hangs must not keep all others from being asked. */
const MOST_UNDER_WAY = 4;
/** Questions that wait; more are dropped, to be asked again by whoever wants to know. */
const MOST_WAITING = 100;
/** After an answer that was none the node is left alone for so long, in ms. */
const PAUSE_MS = 5_000;
const MOST_REPLY_BYTES = 4_194_304;

/**
 * Asks one node for its resources: now and then in the background, and about models when somebody wants to know. Within the
 * node's rate budget, each question once at a time, and nobody ever waits for it.
 */
export class ResourceProber {
  private readonly log = new Logger(ResourceProber.name);
  private readonly waiting = new Set<string>();
  private readonly underWay = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private lookedAtMs = -Infinity;
  private lookedFor: unknown;
  private pausedUntilMs = -Infinity;

  constructor(
    private readonly node: FleetNode,
    private readonly client: NodeClient,
    private readonly snapshots: ResourceSnapshots,
    private readonly options: ResourceProberOptions,
  ) {}

  /** The node was probed: it is time to look at its resources, or not yet. */
  consider(): void {
    const { containers } = this.node;
    const isDue = performance.now() - this.lookedAtMs >= this.options.intervalMs;
    if (isDue || containers !== this.lookedFor) this.ask(ALL_RESOURCES);
  }

  /** Asks as soon as the budget allows; see `ResourceSnapshots` for the question. */
  ask(question: string): void {
    if (this.stopped || performance.now() < this.pausedUntilMs) return;
    if (this.underWay.has(question) || this.waiting.size >= MOST_WAITING) return;
    this.waiting.add(question);
    this.pump();
  }

  /** Safe twice. */
  stop(): void {
    this.stopped = true;
    this.waiting.clear();
    clearTimeout(this.timer);
  }

  /** One question, one answer; never throws. */
  async runOnce(question: string): Promise<void> {
    const { node, client, snapshots, options } = this;
    if (!node.leased || !node.supports('resources')) return;
    if (question === ALL_RESOURCES) {
      this.lookedAtMs = performance.now();
      this.lookedFor = node.containers;
    }
    const path =
      question === ALL_RESOURCES ? '/resources' : `/resources?model_id=${encodeURIComponent(question)}`;
    const limits = { timeoutMs: options.timeoutMs, mostBytes: MOST_REPLY_BYTES };
    try {
      await snapshots.put(node.id, question, await client.document(node, 'resources', path, limits));
    } catch (error) {
      this.pausedUntilMs = performance.now() + PAUSE_MS;
      this.log.debug(`Node ${node.config.name} did not tell its resources: ${messageOf(error)}`);
    }
  }

  private pump(): void {
    clearTimeout(this.timer);
    for (const question of this.waiting) {
      if (this.underWay.size >= MOST_UNDER_WAY) return;
      const waitMs = this.node.budget.waitMs('resources', performance.now());
      if (waitMs > 0) {
        this.timer = setTimeout(() => this.pump(), waitMs + 1);
        return;
      }
      this.waiting.delete(question);
      this.underWay.add(question);
      void this.runOnce(question).finally(() => {
        this.underWay.delete(question);
        this.pump();
      });
    }
  }
}
