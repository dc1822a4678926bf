import type { NodeState } from './node-state.js';
import type { Pair } from './pair.js';

/** A job that may be started elsewhere although its node still has it. */
export interface Rescue {
  readonly jobId: string;
  readonly nodeId: string;
  readonly containers: readonly string[];
}

/** For how long at least a node has to stand still, how much longer while jobs wait, and how many may be rescued. */
const RESCUE = { afterMs: 5_000, patience: 3, jobs: 20, shareOfJobs: 0.02 };

/**
 * Finds nodes that stand still: nothing has ended there, and every job in service has run, for longer than any job
 * would (`Pair.suspiciousMs`), as far as enough jobs of the kind have ended to tell. Their jobs may be started elsewhere, within a budget: doubling long jobs that
 * merely are long costs capacity, so while others wait for a node a good deal more patience is had.
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
    if (pair.count === 0 || !pair.kind.work.settled) return;
    const patience = pair.kind.held > 0 ? RESCUE.patience : 1;
    const limitMs = Math.max(RESCUE.afterMs, patience * pair.suspiciousMs);
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
