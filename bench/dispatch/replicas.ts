import type { JobNeeds } from '../../src/dispatch/policy/placement.js';
import { Policy } from '../../src/dispatch/policy/policy.js';
import { needsOf, OFFERS } from './gateway.js';
import type { Balancer, World } from './world.js';

const REPLICAS = 4;
/** How often replicas tell each other of their nodes, and how long word of a queued job takes, in ms. */
const SUMMARY_EVERY_MS = 100;
const NOTIFY_MS = 5;

interface Replica {
  readonly policy: Policy;
  readonly nodes: readonly string[];
  wakeAtMs: number;
}

/**
 * Four gateways on one store. Each works with its own nodes alone; jobs come to any of them, and one that is held is
 * queued in the store, where whoever has a slot for it first claims it.
 */
export class Replicas implements Balancer {
  private readonly replicas: Replica[];
  private readonly queued = new Set<string>();

  constructor(private readonly world: World) {
    const ids = world.nodes.map((_node, index) => String(index));
    this.replicas = Array.from({ length: REPLICAS }, (_none, index) => {
      const nodes = ids.filter((id) => Number(id) % REPLICAS === index);
      const policy = new Policy({ maxUnanswered: Infinity });
      for (const id of ids) {
        const elsewhere = !nodes.includes(id);
        policy.nodeChanged({
          id,
          containers: OFFERS,
          available: !elsewhere,
          weight: 1,
          maxInFlight: null,
          elsewhere,
        });
      }
      return { policy, nodes, wakeAtMs: Infinity };
    });
    this.tellEachOther();
  }

  arrived(job: number): void {
    const needs = needsOf(job);
    const replica = this.replicas[job % REPLICAS] as Replica;
    const placement = replica.policy.place(needs, this.world.nowMs);
    if (placement !== undefined) return this.send(replica, needs, placement.nodeId);
    this.queued.add(needs.id);
    replica.policy.hold(needs, this.world.nowMs);
    this.wake(replica);
    this.after(NOTIFY_MS, () => {
      for (const other of this.replicas) {
        if (other === replica || !this.queued.has(needs.id)) continue;
        other.policy.hold(needs, this.world.nowMs);
        this.pump(other);
      }
    });
  }

  private pump(replica: Replica): void {
    const { policy } = replica;
    for (;;) {
      const [placement] = policy.release(this.world.nowMs, 1);
      if (placement === undefined) break;
      const { job, nodeId } = placement;
      // Another replica may have claimed it already.
      if (this.queued.delete(job.id)) this.send(replica, job, nodeId);
      else policy.notAccepted(nodeId, job, this.world.nowMs, false);
    }
    this.wake(replica);
  }

  private send(replica: Replica, job: JobNeeds, nodeId: string): void {
    replica.policy.accepted(nodeId, job, this.world.nowMs);
    this.world.send(Number(job.id), Number(nodeId), () => {
      replica.policy.ended(nodeId, job, 'succeeded', this.world.nowMs);
      this.world.finish(Number(job.id));
      this.pump(replica);
    });
    this.after(NOTIFY_MS, () => {
      for (const other of this.replicas) if (other !== replica) other.policy.forget(job.id);
    });
  }

  private tellEachOther(): void {
    const { nowMs } = this.world;
    for (const { policy, nodes } of this.replicas) {
      for (const id of nodes) {
        const summary = policy.summaryOf(id, nowMs);
        for (const other of this.replicas)
          if (other.policy !== policy) other.policy.summarySeen(id, summary, nowMs);
      }
    }
    for (const replica of this.replicas) this.pump(replica);
    this.after(SUMMARY_EVERY_MS, () => this.tellEachOther());
  }

  private wake(replica: Replica): void {
    const at = replica.policy.nextChangeAt(this.world.nowMs);
    if (at === undefined || at >= replica.wakeAtMs) return;
    replica.wakeAtMs = at;
    this.world.agenda.at(at, () => {
      if (replica.wakeAtMs !== at) return;
      replica.wakeAtMs = Infinity;
      this.pump(replica);
    });
  }

  private after(delayMs: number, action: () => void): void {
    this.world.agenda.at(this.world.nowMs + delayMs, action);
  }
}
