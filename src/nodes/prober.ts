import { performance } from 'node:perf_hooks';
import { Logger } from '@nestjs/common';
import type { NodeInfo } from '../protocol/node-info.js';
import type { Fleet } from './fleet.js';
import type { FleetNode } from './node.js';
import { NodeLimited, NodeUnavailable, type NodeClient } from './node-client.js';
import type { NodesRepository } from './nodes.repository.js';

export interface ProberOptions {
  /** Between two probes of a node that is up, in ms. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** How often it is measured whether connections to a node are worth keeping, in ms. */
const REUSE_INTERVAL_MS = 600_000;

/** A node that is down is looked at this often at least, in ms: its return releases jobs that wait. */
const DOWN_INTERVAL_MS = 1_000;

/**
 * Keeps what is known of one node fresh: asks /info now and then, with the pauses varied by a tenth each way so that
 * the probes of many nodes spread out, and never more often than the node's rate limit allows. `runOnce` is the whole duty; the timer only repeats it.
 */
export class Prober {
  private readonly log = new Logger(Prober.name);
  private timer: NodeJS.Timeout | undefined;
  private stopped = true;

  constructor(
    private readonly node: FleetNode,
    private readonly fleet: Fleet,
    private readonly client: NodeClient,
    private readonly repository: NodesRepository,
    private readonly options: ProberOptions,
  ) {}

  /** Probes after `delayMs`, then again and again. */
  start(delayMs: number): void {
    this.stopped = false;
    this.schedule(delayMs);
  }

  /** Safe when never started, safe twice. */
  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  /** One look at the node; never throws. */
  async runOnce(): Promise<void> {
    const { node, fleet } = this;
    const healthBefore = node.health;
    try {
      const { info, latencyMs } = await this.client.info(node, this.options.timeoutMs);
      const offerChanged = node.answered(info, latencyMs, new Date());
      if (healthBefore === 'down') this.log.log({ node: node.config.name }, 'The node is up');
      if (offerChanged || healthBefore !== 'up') fleet.emit('changed', node);
      fleet.emit('probed', node);
      void this.measureReuse();
      if (offerChanged || node.offerUnsaved) await this.save(info);
    } catch (error) {
      // No news: it is asked again when the budget allows.
      if (error instanceof NodeLimited) {
        return this.log.debug({ node: node.config.name }, `A probe was refused: ${error.message}`);
      }
      if (!(error instanceof NodeUnavailable)) {
        return this.log.warn({ err: error, node: node.config.name }, 'A probe went wrong');
      }
      node.missed(error.message, error.refused, new Date());
      if (node.health === healthBefore) return;
      this.log.warn({ node: node.config.name }, `The node is down: ${error.message}`);
      fleet.emit('changed', node);
    }
  }

  /** What the other replicas know the node's offer from; what could not be stored is stored after the next probe. */
  private async save(info: NodeInfo): Promise<void> {
    const { node } = this;
    node.offerUnsaved = false;
    try {
      await this.repository.saveSnapshot(node.id, info);
    } catch (error) {
      node.offerUnsaved = true;
      throw error;
    }
  }

  /**
   * A node may be replaced by another behind the same URL, so this is looked at anew now and then. Probes do not wait for
   * it: of many nodes each has to wait for its turn.
   */
  private async measureReuse(): Promise<void> {
    const { node, client } = this;
    if (performance.now() - node.reuseMeasuredAtMs < REUSE_INTERVAL_MS) return;
    node.reuseMeasuredAtMs = performance.now();
    node.reusesConnections = await client.measureReuse(node, this.options.timeoutMs);
  }

  private schedule(delayMs: number): void {
    this.timer = setTimeout(() => {
      void this.runOnce().finally(() => {
        if (this.stopped) return;
        const { intervalMs } = this.options;
        const pauseMs = this.node.health === 'up' ? intervalMs : Math.min(intervalMs, DOWN_INTERVAL_MS);
        const { budget } = this.node;
        const now = performance.now();
        // `chain` is asked by probes of nodes of 0.2.0 alone.
        const budgetMs = Math.max(budget.waitMs('info', now), budget.waitMs('chain', now));
        this.schedule(Math.max(pauseMs * (0.9 + Math.random() * 0.2), budgetMs));
      });
    }, delayMs);
  }
}
