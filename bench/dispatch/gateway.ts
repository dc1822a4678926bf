import type { JobNeeds, Placement, PolicyOptions } from '../../src/dispatch/policy/placement.js';
import { Policy } from '../../src/dispatch/policy/policy.js';
import type { SimulatedNode } from './simulated-node.js';
import type { Balancer, World } from './world.js';

/** How often a node's pending count is read, in ms. */
const INFO_EVERY_MS = 5_000;
const RESCUE_EVERY_MS = 1_000;
const MAX_ATTEMPTS = 6;
const CONTAINERS = ['work'];
export const OFFERS = new Map([['work', { external: true }]]);

/** The gateway as the policy sees it: everything else of it takes no time. */
export class Gateway implements Balancer {
  readonly policy: Policy;
  private readonly attempts = new Map<number, number>();
  private wakeAtMs = Infinity;

  constructor(
    protected readonly world: World,
    options: PolicyOptions = {},
  ) {
    this.policy = new Policy({ maxUnanswered: Infinity, ...options });
    world.nodes.forEach((_node, node) => this.register(node));
    this.every(INFO_EVERY_MS, () => this.readInfo());
    this.every(RESCUE_EVERY_MS, () => this.rescue());
  }

  arrived(job: number): void {
    const needs = needsOf(job);
    const placement = this.policy.place(needs, this.world.nowMs);
    if (placement === undefined) this.policy.hold(needs, this.world.nowMs);
    else this.send(placement);
    this.wake();
  }

  changed(node: number): void {
    this.register(node);
    this.pump();
  }

  protected register(node: number): void {
    const available = this.world.absent[node] !== true;
    this.policy.nodeChanged({
      id: String(node),
      containers: OFFERS,
      available,
      weight: 1,
      maxInFlight: null,
    });
  }

  protected pump(): void {
    for (const placement of this.policy.release(this.world.nowMs)) this.send(placement);
    this.wake();
  }

  protected send({ job, nodeId }: Placement): void {
    this.policy.accepted(nodeId, job, this.world.nowMs);
    const number = Number(job.id);
    this.world.send(number, Number(nodeId), (ok) => this.done(number, nodeId, ok, 0));
  }

  /** @param unseenMs how long it may have been over before this was seen */
  protected done(number: number, nodeId: string, ok: boolean, unseenMs: number): void {
    this.settle(number, nodeId, ok, unseenMs);
    this.pump();
  }

  protected settle(number: number, nodeId: string, ok: boolean, unseenMs: number): void {
    const { policy, world } = this;
    const job = needsOf(number);
    policy.ended(nodeId, job, ok ? 'succeeded' : 'faulted', world.nowMs, { unseenMs });
    if (ok) {
      policy.forget(job.id);
      world.finish(number);
    } else {
      this.again(number);
    }
  }

  protected every(intervalMs: number, duty: () => void): void {
    const { agenda } = this.world;
    const next = (): void => {
      duty();
      agenda.at(agenda.nowMs + intervalMs, next);
    };
    agenda.at(intervalMs, next);
  }

  protected readInfo(): void {
    this.world.nodes.forEach((node: SimulatedNode, index) =>
      this.policy.pendingSeen(String(index), node.pending),
    );
  }

  private again(number: number): void {
    if (this.world.isDone(number)) return;
    const attempts = (this.attempts.get(number) ?? 1) + 1;
    this.attempts.set(number, attempts);
    if (attempts > MAX_ATTEMPTS) this.world.giveUp(number);
    else this.policy.hold(needsOf(number), this.world.nowMs);
  }

  private rescue(): void {
    for (const { jobId } of this.policy.rescue(this.world.nowMs)) {
      if (!this.world.isDone(Number(jobId))) this.policy.hold(needsOf(Number(jobId)), this.world.nowMs);
    }
    this.pump();
  }

  private wake(): void {
    const at = this.policy.nextChangeAt(this.world.nowMs);
    if (at === undefined || at >= this.wakeAtMs) return;
    this.wakeAtMs = at;
    this.world.agenda.at(at, () => {
      if (this.wakeAtMs !== at) return;
      this.wakeAtMs = Infinity;
      this.pump();
    });
  }
}

/** Ids in order of arrival, as UUIDv7 are. */
export function needsOf(job: number): JobNeeds {
  return { id: String(job).padStart(8, '0'), containers: CONTAINERS };
}
