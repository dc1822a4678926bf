import type { NodeState } from './node-state.js';
import type { Pair } from './pair.js';

/** A job that may be started elsewhere although its node still has it. */
export interface Rescue {
  readonly jobId: string;
  readonly nodeId: string;
  readonly containers: readonly string[];
}

/** A node has to stand still for this long at least before its jobs are started elsewhere, and how many may be. */
const RESCUE = { afterMs: 5_000, jobs: 20, shareOfJobs: 0.02 };

/**
 * Finds nodes that stand still: nothing has ended there, and every job in service has run, for longer than any job
 * would (`Pair.suspiciousMs`). Their jobs may be started elsewhere, within a budget: doubling long jobs that
 * merely are long costs capacity just when it is scarce.
 */
export class Rescuer {
  private rescued = 0;

  /** @param placed jobs that were given to nodes so far */
  find(nodes: Iterable<NodeState>, placed: number, nowMs: number): Rescue[] {
    const rescues: Rescue[] = [];
    const budget = RESCUE.jobs + RESCUE.shareOfJobs * placed;
    for (const node of nodes) {
      if (node.view.elsewhere === true) continue;
      for (const pair of node.pairs.values()) this.rescueFrom(pair, budget, nowMs, rescues);
    }
    return rescues;
  }

  private rescueFrom(pair: Pair, budget: number, nowMs: number, rescues: Rescue[]): void {
    if (pair.count === 0) return;
    const limitMs = Math.max(RESCUE.afterMs, pair.suspiciousMs);
    if (nowMs - pair.lastEndedMs <= limitMs) return;
    const old = pair.allOlderThan(limitMs, nowMs);
    if (old === undefined) return;
    if (!pair.stuck) {
      pair.stuck = true;
      pair.kind.expire();
    }
    for (const sent of old) {
      if (sent.rescued || this.rescued >= budget) continue;
      sent.rescued = true;
      this.rescued += 1;
      rescues.push({ jobId: sent.jobId, nodeId: pair.node.view.id, containers: pair.kind.containers });
    }
  }
}
