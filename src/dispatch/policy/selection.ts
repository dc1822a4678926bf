import type { NodeFeature } from '../../protocol/node-info.js';
import { barrierAt, type Barrier } from './gate.js';
import type { PairOutlook } from './explain.js';
import type { Kind } from './kind.js';
import type { NodeState } from './node-state.js';
import type { Pair } from './pair.js';
import type { Decision, JobNeeds } from './placement.js';
import type { Choice, Request, Rule } from './rules.js';

/** A request without what follows from the job itself. */
export type Situation = Omit<Request, 'barred' | 'urgent'>;

/** Which node a job would go to now: what the rule says of the nodes that are open to it. Nothing is counted here. */
export class Selection {
  constructor(
    private readonly nodes: ReadonlyMap<string, NodeState>,
    private readonly rule: Rule,
    /** Submissions that may be open at one node. */
    private readonly maxUnanswered: number,
  ) {}

  /** @returns undefined if the job has to wait */
  choose(job: JobNeeds, situation: Situation): Choice | undefined {
    const { kind, waiting, waitedMs, nowMs, tried } = situation;
    this.refresh(kind, nowMs);
    const barred = barredTo(job, kind, nowMs);
    // One that was sent somewhere already takes what there is, whether there is room or not.
    const anyNumber = tried !== undefined;
    // Named one by one: spreading cost a quarter of a decision (npm run bench -- dispatch).
    const urgent = job.urgent === true;
    return this.rule.choose(
      { kind, waiting, waitedMs, nowMs, tried, barred, urgent },
      (pair) => this.barrier(pair, nowMs, anyNumber, job.urgent) === undefined,
    );
  }

  /** What a choice rests on. */
  decisionOf({ pair, why }: Choice, waiting: number, nowMs: number): Decision {
    const { node, serviceMs, count: ahead, slots } = pair;
    const window = this.rule.window(pair);
    const expectedMs = pair.expectedMs(nowMs);
    return { why, expectedMs, serviceMs, ahead, slots, window, foreign: node.foreign, waiting };
  }

  outlookOf(pair: Pair, nowMs: number): PairOutlook {
    return { barrier: this.barrier(pair, nowMs), window: this.rule.window(pair) };
  }

  /** @param anyNumber whether windows do not count */
  barrier(pair: Pair, nowMs: number, anyNumber = false, ownBudget = false): Barrier | undefined {
    const { rule, maxUnanswered } = this;
    const window = anyNumber ? Infinity : rule.window(pair);
    return barrierAt(pair, { window, maxUnanswered, ownBudget }, nowMs);
  }

  /** Brings the order of the nodes up to date. */
  refresh(kind: Kind, nowMs: number): void {
    kind.refresh(this.nodes.values(), nowMs, (pair) => this.rule.window(pair));
  }
}

const NONE: readonly string[] = [];

/** The nodes that a job may not go to: those that it shuns may have it only where no other ever will. */
function barredTo(job: JobNeeds, kind: Kind, nowMs: number): readonly string[] {
  const { shun = NONE, features } = job;
  const unfit = features === undefined || features.length === 0 ? NONE : unfitFor(features, kind);
  const avoid = unfit.length === 0 ? (job.avoid ?? NONE) : unfit.concat(job.avoid ?? NONE);
  if (shun.length === 0) return avoid;
  const both = [...avoid, ...shun];
  const isOther = ({ node }: Pair): boolean => !both.includes(node.view.id);
  const others =
    kind.order.some((pair) => isOther(pair) && mayTakeSoon(pair)) ||
    kind.elsewhere.some((pair) => isOther(pair) && pair.node.summaryIsFresh(nowMs));
  return others ? both : avoid;
}

/** Whether it will be given jobs of this kind again once there is room. */
export function mayTakeSoon(pair: Pair): boolean {
  const { available, maxInFlight } = pair.node.view;
  return available && maxInFlight !== 0 && !pair.isDoubtful;
}

/** Nodes that run the containers, but lack something else that the job needs. */
function unfitFor(features: readonly NodeFeature[], kind: Kind): readonly string[] {
  return [...kind.order, ...kind.elsewhere]
    .filter(({ node }) => !node.supports(features))
    .map(({ node }) => node.view.id);
}
