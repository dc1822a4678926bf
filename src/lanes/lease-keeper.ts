import { performance } from 'node:perf_hooks';
import { EventEmitter } from 'node:events';
import { Injectable, Logger } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { Scheduler } from '../dispatch/scheduler.js';
import type { SavedLane } from '../dispatch/policy/kinds.js';
import { messageOf } from '../errors.js';
import { Fleet } from '../nodes/fleet.js';
import type { FleetNode, NodeSummary } from '../nodes/node.js';
import { NodesService } from '../nodes/nodes.service.js';
import { Broadcast } from '../persistence/broadcast.js';
import { LeasesRepository, type GrantedLease } from './leases.repository.js';
import { statusOf } from './node-status.js';
import { ReplicaId } from './replica-id.js';

export interface LeaseEvents {
  /** This replica works with the node from now on; `learned` is what its earlier holders left. */
  gained: [node: FleetNode, learned: SavedLane | undefined];
  /** It does not any more. */
  lost: [node: FleetNode];
}

/** A lease is renewed this often in its time, so that two renewals may fail. */
const RENEWALS_PER_TTL = 3;
/** This part of its time is left unused, for clocks that run apart and statements on their way. */
const SAFETY = 0.1;
/** How often what was learned of the nodes is kept, in ms: a process that is killed forgets no more than that. */
const SAVE_INTERVAL_MS = 15_000;

/**
 * Shares the nodes among the replicas that live: each holds the leases of about as many nodes. A replica that
 * cannot renew in time stops working with its nodes by its own clock, before others may take them over by the
 * database's. There is no leader: every replica runs this same duty.
 */
@Injectable()
export class LeaseKeeper extends EventEmitter<LeaseEvents> {
  private readonly log = new Logger(LeaseKeeper.name);
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private stopped = true;
  private savedAtMs = performance.now();

  constructor(
    private readonly leases: LeasesRepository,
    private readonly fleet: Fleet,
    private readonly nodes: NodesService,
    private readonly scheduler: Scheduler,
    private readonly broadcast: Broadcast,
    private readonly replica: ReplicaId,
    private readonly settings: Settings,
  ) {
    super();
  }

  /** Takes the first leases, then keeps them. */
  async start(): Promise<void> {
    this.stopped = false;
    await this.runOnce();
    // The others learn of this replica now, and give back what is above their share.
    await this.broadcast.publish('nodes', []);
    this.schedule();
  }

  /**
   * One round: renew, give back what is too much, take what is free. Never throws. Rounds do not overlap; one that is
   * under way may have looked too early for this caller, so it is waited for first.
   */
  async runOnce(): Promise<void> {
    await this.running;
    this.running ??= this.round()
      .catch((error: unknown) => this.log.warn(`Leases could not be renewed: ${messageOf(error)}`))
      .finally(() => (this.running = undefined));
    await this.running;
    this.dropExpired();
  }

  /** Hands all nodes over to the other replicas. Safe when never started, safe twice. */
  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
    const held = this.held();
    for (const node of held) this.drop(node);
    try {
      await this.leases.release(this.replica.value, this.learnedOf(held));
      await this.leases.leave(this.replica.value);
      await this.broadcast.publish(
        'nodes',
        held.map(({ id }) => id),
      );
    } catch (error) {
      this.log.warn(`Leases were left to run out: ${messageOf(error)}`);
    }
  }

  private async round(): Promise<void> {
    const id = this.replica.value;
    const { leaseTtlMs } = this.settings;
    const { replicas, nodes } = await this.leases.heartbeat(id, leaseTtlMs);
    this.broadcast.audience = replicas - 1;
    if (replicas > 1) await this.nodes.reload();
    const askedAt = performance.now();
    const summaries = new Map(this.held().map((node) => [node.id, this.summaryOf(node)]));
    const kept = new Map(
      (await this.leases.renew(id, leaseTtlMs, summaries)).map((lease) => [lease.nodeId, lease]),
    );
    for (const node of this.held()) {
      const lease = kept.get(node.id);
      if (lease?.fence === node.lease?.fence) this.grant(node, lease as GrantedLease, askedAt);
      else this.drop(node);
    }
    await this.saveLearned();
    const share = Math.ceil(nodes / replicas);
    await this.giveBack(this.held().length - share);
    await this.take(share - this.held().length);
  }

  private summaryOf(node: FleetNode): NodeSummary {
    if (this.broadcast.audience === 0) return node.summary();
    return { ...node.summary(), status: statusOf(node, this.scheduler) };
  }

  private async saveLearned(): Promise<void> {
    if (performance.now() - this.savedAtMs < SAVE_INTERVAL_MS) return;
    this.savedAtMs = performance.now();
    await this.leases.saveLearned(this.replica.value, this.learnedOf(this.held()));
  }

  private learnedOf(nodes: readonly FleetNode[]): Map<string, SavedLane> {
    return new Map(nodes.map(({ id }) => [id, this.scheduler.learnedOf(id)]));
  }

  private async giveBack(count: number): Promise<void> {
    if (count <= 0) return;
    const given = this.held().slice(-count);
    for (const node of given) this.drop(node);
    await this.leases.release(this.replica.value, this.learnedOf(given));
    await this.broadcast.publish(
      'nodes',
      given.map(({ id }) => id),
    );
  }

  private async take(count: number): Promise<void> {
    if (count <= 0 || this.stopped) return;
    const askedAt = performance.now();
    const granted = await this.leases.acquire(this.replica.value, this.settings.leaseTtlMs, count);
    if (granted.some(({ nodeId }) => this.fleet.get(nodeId) === undefined)) await this.nodes.reload();
    for (const lease of granted) {
      const node = this.fleet.get(lease.nodeId);
      if (node === undefined) continue;
      this.grant(node, lease, askedAt);
      this.emit('gained', node, lease.learned ?? undefined);
    }
  }

  private grant(node: FleetNode, lease: GrantedLease, askedAt: number): void {
    node.lease = { fence: lease.fence, validUntilMs: askedAt + this.settings.leaseTtlMs * (1 - SAFETY) };
  }

  private drop(node: FleetNode): void {
    node.lease = undefined;
    this.emit('lost', node);
  }

  private dropExpired(): void {
    for (const node of this.held()) if (!node.leased) this.drop(node);
  }

  private held(): FleetNode[] {
    return this.fleet.nodes.filter((node) => node.lease !== undefined);
  }

  private schedule(): void {
    this.timer = setTimeout(() => {
      void this.runOnce().finally(() => {
        if (!this.stopped) this.schedule();
      });
    }, this.settings.leaseTtlMs / RENEWALS_PER_TTL);
  }
}
