import { worthHolding } from '../../src/dispatch/policy/hold-rule.js';
import type { SimulatedNode } from './simulated-node.js';
import type { Balancer, World } from './world.js';

/**
 * The bound: one central queue in order of arrival that knows every slot, speed and fault the moment they change,
 * but not how much work a job is, and uses the same hold rule as the gateway.
 */
export class Omniscient implements Balancer {
  private readonly queue: number[] = [];
  private head = 0;
  /** Jobs of ours on each node, for those that a fault throws back. */
  private readonly on: Set<number>[];

  constructor(private readonly world: World) {
    this.on = world.nodes.map(() => new Set());
  }

  arrived(job: number): void {
    this.queue.push(job);
    this.pump();
  }

  changed(index: number): void {
    const node = this.world.nodes[index] as SimulatedNode;
    const ours = this.on[index] as Set<number>;
    if ((node.currentSpeed === 0 || node.fails) && ours.size > 0) {
      node.takeAll();
      this.queue.splice(this.head, 0, ...[...ours].sort((a, b) => a - b));
      ours.clear();
    }
    this.pump();
  }

  private pump(): void {
    while (this.head < this.queue.length) {
      const node = this.choose(this.queue.length - this.head);
      if (node === undefined) return;
      this.send(this.queue[this.head] as number, node);
      this.head += 1;
    }
  }

  private send(job: number, node: number): void {
    const ours = this.on[node] as Set<number>;
    ours.add(job);
    this.world.send(job, node, (ok) => {
      // A node that starts to fail throws its jobs back; `changed` takes them up again.
      if (!ok || !ours.delete(job)) return;
      this.world.finish(job);
      this.pump();
    });
  }

  private choose(waiting: number): number | undefined {
    const { nodes, absent, meanWorkMs } = this.world;
    let best: number | undefined;
    let bestSpeed = 0;
    nodes.forEach((node, index) => {
      if (!this.usable(index) || absent[index] === true || node.freeSlots <= 0) return;
      if (node.currentSpeed > bestSpeed) {
        best = index;
        bestSpeed = node.currentSpeed;
      }
    });
    if (best === undefined) return undefined;
    let slots = 0;
    let rate = 0;
    nodes.forEach((node, index) => {
      if (!this.usable(index) || node.currentSpeed <= bestSpeed) return;
      slots += node.slots;
      rate += (node.slots * node.currentSpeed) / meanWorkMs;
    });
    return worthHolding(meanWorkMs / bestSpeed, waiting, slots, rate) ? undefined : best;
  }

  private usable(index: number): boolean {
    const { nodes, absent } = this.world;
    const node = nodes[index] as SimulatedNode;
    return absent[index] !== true && node.currentSpeed > 0 && !node.fails;
  }
}
