import { performance } from 'node:perf_hooks';
import type { DeliveredJob } from '../dispatch/dispatcher.js';
import type { OpenAttempt } from '../jobs/jobs.repository.js';
import type { FleetNode } from '../nodes/node.js';
import type { ResourceProber } from '../nodes/resource-prober.js';
import type { Prober } from '../nodes/prober.js';
import type { Collector } from '../results/collector.js';

/**
 * Everything the gateway does with one node while it holds the node's lease, but for choosing and sending, which the
 * dispatcher does for all nodes: it probes it, takes up what is open there, and collects.
 */
export class Lane {
  constructor(
    readonly node: FleetNode,
    private readonly prober: Prober,
    private readonly resources: ResourceProber,
    private readonly collector: Collector,
    /** The gateways that reach nodes from the same address as this one. */
    private readonly egressGroup: string,
  ) {}

  /** @param probeDelayMs spreads the first probes of many nodes */
  start(probeDelayMs: number): void {
    this.prober.start(probeDelayMs);
  }

  /** Looks at the node once, now. */
  async probe(): Promise<void> {
    await this.prober.runOnce();
  }

  /** The node was probed: its resources may have to be looked at. */
  probed(): void {
    this.resources.consider();
  }

  /** Somebody wants to know the node's answer to a question about its resources; see `ResourceSnapshots`. */
  askResources(question: string): void {
    this.resources.ask(question);
  }

  collect(job: DeliveredJob): void {
    this.collector.watch(job);
  }

  /** Whether this attempt is being collected here. */
  collects(attemptId: string): boolean {
    return this.collector.has(attemptId);
  }

  /**
   * Goes on with an attempt that an earlier holder of the lease left open. The node is asked before anything is
   * sent again: an attempt that was being sent may have arrived.
   */
  takeUp({
    attempt,
    jobKind,
    containers,
    nodeJobId,
    ageMs,
    state,
    egressGroup,
    traceparent,
  }: OpenAttempt): void {
    const { lease } = this.node;
    if (lease === undefined) return;
    const job = {
      attempt: { ...attempt, fence: lease.fence },
      jobKind,
      containers,
      nodeJobId,
      certain: state === 'running',
      traceparent,
    };
    this.collector.watch(job, performance.now() - ageMs, egressGroup === this.egressGroup);
  }

  hurry(jobIds: readonly string[], untilMs: number): void {
    this.collector.hurry(jobIds, untilMs);
  }

  /** Safe twice. */
  stop(): void {
    this.prober.stop();
    this.resources.stop();
    this.collector.stop();
  }
}
