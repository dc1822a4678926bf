import {
  explanationOf,
  pairSummaries,
  type Explanation,
  type PairOutlook,
  type PairSummary,
} from './explain.js';
import { HeldJobs, indexOfNext, type JobClass } from './held-jobs.js';
import { kindKey } from './kind.js';
import { Kinds, type SavedLane } from './kinds.js';
import { NodeState, type LaneSummary, type NodeView } from './node-state.js';
import type { Ending, Pair, Sighting } from './pair.js';
import type { JobNeeds, Placement, PolicyOptions } from './placement.js';
import { Rescuer, type Rescue } from './rescuer.js';
import { prospectsOf, type Prospect } from './prospects.js';
import { ruleOf, type Rule } from './rules.js';
import { mayTakeSoon, Selection, type Situation } from './selection.js';

/**
 * Which job goes to which node, and when. A pure state machine: events come in through its methods, decisions
 * go out as return values; it does no I/O, sets no timer and reads no clock (`nowMs` is always given). The same
 * class therefore runs in the gateway and, under virtual time, in `npm run bench -- dispatch`.
 *
 * ## The rule
 *
 * **Bind late.** A node takes any number of jobs and lets them wait, but each container call times out, so a queue
 * inside a node turns into failures, and a job that waits there cannot be given to a node that turns out to be
 * faster. So jobs wait here, in order of arrival, and one is released when a node has a free slot (the idea of
 * Sparrow, SOSP 2013, and of Join-Idle-Queue, 2011). No node says how many slots it has or how fast it is; both
 * are learned, for each kind of job (the chain of containers) on each node, from our own dispatches and completions.
 *
 * | what | how | where |
 * |---|---|---|
 * | slots | a job that overtakes k−1 earlier ones, seen to run on, proves k; where none or all overtake, times by crowd tell | slot-learner.ts, crowding.ts |
 * | pace | time in service against the fleet's, shrunk toward it while samples are few, fading | service-times.ts |
 * | window | twice the slots at the start, then the slots, one more now and then; and as many more as end before that is seen and the next are there | slot-learner.ts, pair.ts |
 * | choice | shortest expected completion: service × (1 + jobs beyond the slots / slots) + wait for the rate limit | rules.ts, selection.ts |
 * | holding | the job waits for a faster node if that is expected to be clearly sooner | hold-rule.ts |
 * | canary | an idle node is tried once a minute, so that one which has recovered is found | kind.ts |
 * | ejection | three failures in a row of the node's own making; half-open with one job; ignored in panic | ejection.ts |
 *
 * **Foreign load** (pending on the node beyond our own jobs) adds to what is expected of a node while its slots are
 * being learned, and decides between equals afterwards; it never takes learned slots away. Operators' `weight`
 * divides a node's expected service, `maxInFlight` is a hard cap.
 *
 * **Rescue.** When a node has completed nothing for very long and all its slots are that old, its jobs may be
 * started elsewhere (`rescue`), within a budget. Long jobs alone are no reason: job sizes are what they are.
 *
 * **Other replicas.** A node that another replica works with is never chosen here; but what that replica says
 * of it (`LaneSummary`) counts when a job is to wait for something better.
 *
 * ## A job's way through this class
 *
 * `place` → on a node, or held (`hold`) until `release` hands it out → `accepted`, `notAccepted` or `unclear` →
 * `ended`. Among held jobs the oldest goes first; a job never overtakes an older one for the same containers.
 */

/** More submissions open at one node would only queue up in front of its single event loop. */
export const MAX_UNANSWERED = 32;

/** For ends that are seen as they happen, in their order. */
const AT_ONCE: Sighting = { unseenMs: 0 };

export class Policy {
  private readonly rule: Rule;
  private readonly selection: Selection;
  private readonly nodes = new Map<string, NodeState>();
  private readonly kinds = new Kinds(this.nodes);
  private readonly jobs = new HeldJobs();
  /** Nodes on which time alone may change something. */
  private readonly timed = new Set<NodeState>();
  private readonly rescuer = new Rescuer();
  private placed = 0;

  constructor({ rule = 'learned', maxUnanswered = MAX_UNANSWERED }: PolicyOptions = {}) {
    this.rule = ruleOf(rule);
    this.selection = new Selection(this.nodes, this.rule, maxUnanswered);
  }

  /** How many jobs are held. */
  get held(): number {
    return this.jobs.count;
  }

  /** Our unfinished jobs on a node. */
  outstandingOn(nodeId: string): number {
    return this.nodes.get(nodeId)?.outstanding ?? 0;
  }

  /** Work of other clients on a node, as of its last /info. */
  foreignOn(nodeId: string): number {
    return this.nodes.get(nodeId)?.foreign ?? 0;
  }

  /** Whether failures keep the node out of the choice, and how often they ejected it, or a kind of job there. */
  ejectionOf(nodeId: string): { ejected: boolean; times: number } {
    const node = this.nodes.get(nodeId);
    return { ejected: node?.breaker.isEjected() ?? false, times: node?.ejections ?? 0 };
  }

  /** A node joined, or something about it changed. */
  nodeChanged(view: NodeView): void {
    const known = this.nodes.get(view.id);
    if (known === undefined) {
      this.nodes.set(view.id, new NodeState(view));
    } else {
      // Coming back up is news that outdates what earlier submissions suffered.
      if (view.available && !known.view.available) known.breaker.worked();
      known.view = view;
    }
    this.kinds.expire();
  }

  /** A node was removed; what is outstanding there does not count any more. */
  nodeLeft(nodeId: string): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    this.nodes.delete(nodeId);
    this.timed.delete(node);
    for (const { kind } of node.pairs.values()) kind.forget(node);
  }

  /** /info was read: `pending` is everything unfinished on the node, ours included. */
  pendingSeen(nodeId: string, pending: number): void {
    const node = this.nodes.get(nodeId);
    if (node !== undefined) node.foreign = Math.max(0, pending - node.outstanding);
  }

  /** The replica that works with the node said this of it. */
  summarySeen(nodeId: string, summary: LaneSummary, nowMs: number): void {
    this.nodes.get(nodeId)?.tell(summary, nowMs);
    for (const key of Object.keys(summary.kinds)) this.kinds.get(key)?.expire();
  }

  /**
   * What other replicas should know of a node of ours. Kinds that have not run yet are left out, and those for which the
   * node is out of the choice though it had room: elsewhere no job is to wait for it.
   */
  summaryOf(nodeId: string, nowMs: number): LaneSummary {
    const kinds: Record<string, LaneSummary['kinds'][string]> = {};
    for (const [key, pair] of this.nodes.get(nodeId)?.pairs ?? []) {
      if (!pair.kind.work.known || !mayTakeSoon(pair)) continue;
      const free =
        this.selection.barrier(pair, nowMs) === undefined
          ? Math.max(0, this.rule.window(pair) - pair.count)
          : 0;
      kinds[key] = { slots: pair.slots, free, serviceMs: pair.serviceMs };
    }
    return { kinds };
  }

  /** When the next request to the node may leave, as its rate limit goes; the past means now. */
  budget(nodeId: string, nextAtMs: number): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    node.budgetAtMs = nextAtMs;
    this.timed.add(node);
  }

  /**
   * Chooses a node for a job right now and counts the job there; undefined if the job has to be held.
   * A new job is held behind older ones of its kind, unless it is urgent; one that was already sent somewhere (`tried`) is not new: it
   * takes the best of the other nodes though there may be no slot free.
   */
  place(job: JobNeeds, nowMs: number, tried?: ReadonlySet<string>): Placement | undefined {
    const kind = this.kinds.of(job.containers);
    if (tried === undefined && job.urgent !== true && kind.held > 0) return undefined;
    const waiting = this.jobs.pressureOn(kind) + 1;
    return this.choose(job, { kind, waiting, tried, waitedMs: 0, nowMs });
  }

  /** Keeps a job until `release` hands it out. */
  hold(job: JobNeeds, nowMs: number): void {
    this.jobs.add(this.kinds.of(job.containers), job, nowMs);
  }

  /** Drops a held job. */
  forget(jobId: string): void {
    this.jobs.remove(jobId);
  }

  /** Hands out held jobs for which there is a node now, at most `limit`; each is counted on its node. */
  release(nowMs: number, limit = Infinity): Placement[] {
    const placements: Placement[] = [];
    const candidates = [...this.jobs.all()];
    while (candidates.length > 0 && placements.length < limit) {
      const next = indexOfNext(candidates);
      const jobClass = candidates[next] as JobClass;
      const placement = this.releaseFirst(jobClass, nowMs);
      if (placement !== undefined) placements.push(placement);
      if (placement === undefined || jobClass.queue.length === 0) candidates.splice(next, 1);
    }
    return placements;
  }

  /** A job is on a node, or may be, though `place` did not choose it: found after a restart. */
  adopted(nodeId: string, job: JobNeeds, nowMs: number): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    const pair = this.kinds.of(job.containers).pairOn(node, nowMs);
    node.outstanding += 1;
    pair.add(job.id, nowMs, true);
    this.touch(pair);
  }

  /** The node took the job. */
  accepted(nodeId: string, job: JobNeeds, nowMs: number): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    node.pairs.get(kindKey(job.containers))?.accepted(job.id, nowMs);
    node.unanswered = Math.max(0, node.unanswered - 1);
    if (node.breaker.worked()) this.kinds.expire();
  }

  /**
   * The job shows that it is in service: a stream gives its first output. That so many show it at once proves slots
   * before any of them has ended.
   */
  started(nodeId: string, job: JobNeeds, nowMs: number): void {
    const pair = this.nodes.get(nodeId)?.pairs.get(kindKey(job.containers));
    if (pair?.started(job.id, nowMs) === true) this.touch(pair);
  }

  /** A submission ended without the job being on the node. `fault`: the node is to blame. */
  notAccepted(nodeId: string, job: JobNeeds, nowMs: number, fault: boolean): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    node.unanswered = Math.max(0, node.unanswered - 1);
    node.breaker.trialSaidNothing();
    this.takeOff(node, job, 'gone', nowMs, AT_ONCE);
    if (fault) this.faulted(nodeId, nowMs);
  }

  /** The submission got no answer: the job may be on the node, so it stays counted. */
  unclear(nodeId: string, nowMs: number): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    node.unanswered = Math.max(0, node.unanswered - 1);
    this.faulted(nodeId, nowMs);
  }

  /** The node failed a request, and nobody else is to blame. */
  faulted(nodeId: string, nowMs: number): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    if (node.breaker.failed(nowMs)) node.ejections += 1;
    this.timed.add(node);
    this.kinds.expire();
  }

  /** The node asked for a pause; that is no failure. */
  paused(nodeId: string, untilMs: number): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    node.pausedUntilMs = Math.max(node.pausedUntilMs, untilMs);
    this.timed.add(node);
  }

  /** This replica works with the node anew: what is there will be counted again as it is found. */
  laneReset(nodeId: string): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    node.outstanding = 0;
    node.unanswered = 0;
    node.breaker.worked();
    for (const pair of node.pairs.values()) {
      pair.clear();
      this.touch(pair);
    }
    this.kinds.expire();
  }

  /**
   * A job that the node had accepted is over there.
   * @param seen how that was seen: at once, if left out
   */
  ended(nodeId: string, job: JobNeeds, ending: Ending, nowMs: number, seen: Sighting = AT_ONCE): void {
    const node = this.nodes.get(nodeId);
    if (node !== undefined) this.takeOff(node, job, ending, nowMs, seen);
  }

  /** Jobs of nodes that stand still, to be started elsewhere; each is named once. To be asked about once a second. */
  rescue(nowMs: number): Rescue[] {
    return this.rescuer.find(this.nodes.values(), this.placed, nowMs);
  }

  /** When time alone will next make a difference, on the clock of `nowMs`; undefined if it will not. */
  nextChangeAt(nowMs: number): number | undefined {
    let next = Infinity;
    const consider = (atMs: number): void => {
      if (atMs > nowMs && atMs < next) next = atMs;
    };
    for (const { heldUntilMs } of this.jobs.all()) consider(heldUntilMs);
    for (const node of this.timed) {
      const { pausedUntilMs, budgetAtMs, breaker } = node;
      const times = [pausedUntilMs, budgetAtMs, breaker.nextChangeAt(nowMs, false)];
      for (const { breaker: ofPair } of node.pairs.values()) times.push(ofPair.nextChangeAt(nowMs, false));
      times.forEach(consider);
      if (times.every((atMs) => atMs <= nowMs)) this.timed.delete(node);
    }
    return this.jobs.count === 0 || next === Infinity ? undefined : next;
  }

  /** What was learned of a node, to be given to `restore` when it is worked with again. Plain JSON. */
  export(nodeId: string): SavedLane {
    return this.kinds.export(this.nodes.get(nodeId)?.pairs.values() ?? []);
  }

  /** Takes over what this replica, in an earlier run, or another one learned of a node. */
  restore(nodeId: string, saved: SavedLane, nowMs: number): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    for (const pair of this.kinds.restore(node, saved, nowMs)) this.touch(pair);
  }

  /** What is known of the kinds of jobs that ran on a node, the latest first. */
  pairsOf(nodeId: string): PairSummary[] {
    const pairs = this.nodes.get(nodeId)?.pairs.values() ?? [];
    return pairSummaries(pairs, (pair) => this.rule.window(pair));
  }

  /** What to expect of each node with jobs for these containers, or else with jobs for the first of them. */
  prospects(containers: readonly string[]): Prospect[] {
    return prospectsOf(this.nodes.values(), [kindKey(containers), kindKey(containers.slice(0, 1))]);
  }

  /** How each node stands with a kind of job right now, and what would be done with another one. */
  explain(containers: readonly string[], nowMs: number): Explanation {
    const kind = this.kinds.of(containers);
    const waiting = this.jobs.pressureOn(kind) + 1;
    const request = { kind, waiting, tried: undefined, waitedMs: 0, nowMs };
    const choice = this.selection.choose({ id: '', containers }, request);
    const outlook = (pair: Pair): PairOutlook => this.selection.outlookOf(pair, nowMs);
    return explanationOf(this.nodes.values(), kind, choice?.pair, waiting, outlook, nowMs);
  }

  private releaseFirst(jobClass: JobClass, nowMs: number): Placement | undefined {
    const { kind, features, avoid, shun, urgent, queue, firstSinceMs } = jobClass;
    const id = queue.first;
    if (id === undefined) return undefined;
    const waitedMs = nowMs - firstSinceMs;
    const waiting = this.jobs.pressureOn(kind);
    const job = { id, containers: kind.containers, features, avoid, shun, urgent };
    const placement = this.choose(job, { kind, waiting, tried: undefined, waitedMs, nowMs });
    if (placement !== undefined) this.jobs.takeFirst(jobClass, nowMs);
    else if (kind.roomy.size > 0) jobClass.heldUntilMs = firstSinceMs + longest(kind.roomy);
    return placement;
  }

  private choose(job: JobNeeds, request: Situation): Placement | undefined {
    const { waiting, nowMs } = request;
    const choice = this.selection.choose(job, request);
    if (choice === undefined) return undefined;
    const decision = this.selection.decisionOf(choice, waiting, nowMs);
    const { pair } = choice;
    const { node } = pair;
    this.rule.took(choice);
    this.placed += 1;
    node.outstanding += 1;
    node.unanswered += 1;
    node.breaker.tried();
    pair.breaker.tried();
    pair.add(job.id, nowMs);
    this.touch(pair);
    return { job, nodeId: node.view.id, decision };
  }

  private takeOff(node: NodeState, job: JobNeeds, ending: Ending, nowMs: number, seen: Sighting): void {
    const kind = this.kinds.of(job.containers);
    const pair = node.pairs.get(kind.key);
    if (pair === undefined || !pair.has(job.id)) return;
    node.outstanding = Math.max(0, node.outstanding - 1);
    if (ending !== 'gone') node.sawLate(seen.unseenMs);
    const serviceMs = pair.remove(job.id, ending === 'succeeded', nowMs, seen);
    if (pair.stuck) this.unstick(pair, ending === 'gone', nowMs);
    if (ending === 'faulted') {
      if (pair.breaker.failed(nowMs)) {
        node.ejections += 1;
        kind.expire();
      }
      this.timed.add(node);
    } else if (ending === 'succeeded') {
      if (pair.breaker.worked()) kind.expire();
      if (serviceMs !== undefined) pair.learn(serviceMs, nowMs);
    } else {
      pair.breaker.trialSaidNothing();
    }
    this.touch(pair);
  }

  /** Something ended on a node that stood still; if it was given up there, one job has to show that it goes again. */
  private unstick(pair: Pair, givenUp: boolean, nowMs: number): void {
    pair.stuck = false;
    if (givenUp) {
      pair.breaker.eject(nowMs);
      pair.node.ejections += 1;
    }
    this.timed.add(pair.node);
    pair.kind.expire();
  }

  private touch(pair: Pair): void {
    pair.kind.makeRoom(pair, this.rule.window(pair));
  }
}

/** The longest service among these nodes, in ms: no job is held for more than that. */
function longest(pairs: Iterable<Pair>): number {
  let most = 0;
  for (const { serviceMs } of pairs) most = Math.max(most, serviceMs);
  return most;
}
