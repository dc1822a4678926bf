import type { NodeView } from './node-state.js';
import type { JobNeeds, Placement } from './placement.js';
import { Policy } from './policy.js';

/** A node that runs container `a`, unless the test says otherwise. */
export function nodeView(id: string, changes: Partial<NodeView> = {}): NodeView {
  const containers = new Map([['a', { external: true }]]);
  return { id, containers, available: true, weight: 1, maxInFlight: null, ...changes };
}

export function policyWith(...views: NodeView[]): Policy {
  const policy = new Policy({ maxUnanswered: Infinity });
  for (const view of views) policy.nodeChanged(view);
  return policy;
}

/** Ids in order of their numbers, as UUIDv7 are in order of time. */
export function jobNeeds(number: number, changes: Partial<JobNeeds> = {}): JobNeeds {
  return { id: String(number).padStart(6, '0'), containers: ['a'], ...changes };
}

/** Nodes under virtual time: each runs so many jobs at once, in order, and takes so long for each of them. */
export class TestNodes {
  nowMs = 0;
  readonly done: string[] = [];
  private readonly queues = new Map<string, { job: JobNeeds; endsAtMs: number }[]>();

  constructor(
    private readonly policy: Policy,
    private readonly nodes: Readonly<Record<string, { slots: number; serviceMs: (job: JobNeeds) => number }>>,
  ) {}

  /** A job arrives. */
  submit(job: JobNeeds): void {
    const placement = this.policy.place(job, this.nowMs);
    if (placement === undefined) this.policy.hold(job, this.nowMs);
    else this.start(placement);
    this.release();
  }

  release(): void {
    for (const placement of this.policy.release(this.nowMs)) this.start(placement);
  }

  /** Lets everything end that can; the policy's own times count too. */
  drain(): void {
    for (;;) {
      const next = this.next();
      const wakeAtMs = this.policy.nextChangeAt(this.nowMs);
      if (next === undefined && wakeAtMs === undefined) return;
      if (next === undefined || (wakeAtMs !== undefined && wakeAtMs < next.endsAtMs)) {
        this.nowMs = wakeAtMs ?? this.nowMs;
      } else {
        this.nowMs = next.endsAtMs;
        this.end(next.nodeId, next.job);
      }
      this.release();
    }
  }

  /** Jobs that are on a node. */
  on(nodeId: string): number {
    return this.queues.get(nodeId)?.length ?? 0;
  }

  private start({ job, nodeId }: Placement): void {
    this.policy.accepted(nodeId, job, this.nowMs);
    const queue = this.queues.get(nodeId) ?? [];
    this.queues.set(nodeId, queue);
    const { slots, serviceMs } = this.nodes[nodeId] ?? { slots: 1, serviceMs: () => 1 };
    // It starts when fewer than `slots` of those before it are left.
    const ends = queue.map(({ endsAtMs }) => endsAtMs).sort((a, b) => b - a);
    const startsAtMs = Math.max(this.nowMs, ends[slots - 1] ?? 0);
    queue.push({ job, endsAtMs: startsAtMs + serviceMs(job) });
  }

  private next(): { nodeId: string; job: JobNeeds; endsAtMs: number } | undefined {
    let next: { nodeId: string; job: JobNeeds; endsAtMs: number } | undefined;
    for (const [nodeId, queue] of this.queues) {
      for (const one of queue)
        if (next === undefined || one.endsAtMs < next.endsAtMs) next = { nodeId, ...one };
    }
    return next;
  }

  private end(nodeId: string, job: JobNeeds): void {
    const queue = this.queues.get(nodeId) ?? [];
    this.queues.set(
      nodeId,
      queue.filter((one) => one.job.id !== job.id),
    );
    this.done.push(job.id);
    this.policy.ended(nodeId, job, 'succeeded', this.nowMs);
  }
}
