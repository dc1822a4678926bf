import { Random } from './random.js';
import type { SimulatedNode } from './simulated-node.js';
import type { Balancer, World } from './world.js';

/** Chooses a node for a job as it arrives. `own` counts our own unfinished jobs on each node. */
export type DirectRule = (own: readonly number[], world: World, random: Random) => number;

/** Sends every job at once, as a load balancer without a queue does. */
export class Direct implements Balancer {
  private readonly own: number[];
  private readonly random: Random;

  constructor(
    private readonly world: World,
    private readonly rule: DirectRule,
    private readonly attempts = 1,
  ) {
    this.own = world.nodes.map(() => 0);
    this.random = new Random(world.seed + 77);
  }

  arrived(job: number): void {
    this.send(job, 1);
  }

  private send(job: number, attempt: number): void {
    const { own, world } = this;
    const node = this.rule(own, world, this.random);
    own[node] = (own[node] as number) + 1;
    world.send(job, node, (ok) => {
      own[node] = (own[node] as number) - 1;
      if (ok) world.finish(job);
      else if (attempt < this.attempts) this.send(job, attempt + 1);
      else world.giveUp(job);
    });
  }
}

/** The first of the nodes with the smallest load; all nodes have the same chance when equal. */
function leastOf(loads: readonly number[], random: Random): number {
  let best = 0;
  let equals = 0;
  for (let node = 0; node < loads.length; node += 1) {
    const difference = (loads[node] as number) - (loads[best] as number);
    if (difference < 0 || equals === 0) {
      best = node;
      equals = 1;
    } else if (difference === 0) {
      equals += 1;
      if (random.next() * equals < 1) best = node;
    }
  }
  return best;
}

export const randomRule: DirectRule = (own, _world, random) => random.below(own.length);

export function roundRobinRule(): DirectRule {
  let next = -1;
  return (own) => (next = (next + 1) % own.length);
}

export const leastPendingRule: DirectRule = (own, _world, random) => leastOf(own, random);

export const twoChoicesRule: DirectRule = (own, _world, random) => {
  const one = random.below(own.length);
  const other = (one + 1 + random.below(own.length - 1)) % own.length;
  return (own[one] as number) <= (own[other] as number) ? one : other;
};

/** The reference router: nodes sorted by the pending counts of their last /info, read every so often; 0 is always. */
export function routerRule(everyMs: number): DirectRule {
  let counts: number[] = [];
  let best = 0;
  let readAtMs = -Infinity;
  return (_own, { nodes, nowMs }, random) => {
    if (nowMs - readAtMs >= everyMs) {
      readAtMs = everyMs === 0 ? -Infinity : Math.max(0, Math.floor(nowMs / everyMs) * everyMs);
      counts = nodes.map((node: SimulatedNode) => node.pending);
      best = leastOf(counts, random);
    }
    return best;
  };
}
