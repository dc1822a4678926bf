import { ArrivalQueue } from './arrival-queue.js';

/**
 * Which job goes to which node, and when. A pure state machine: events come in through its methods, decisions
 * go out as return values; it does no I/O, sets no timer and reads no clock (`nowMs` is always given). The same
 * class therefore runs in the gateway and under virtual time.
 *
 * The rule, first version: **least pending, corrected by own events.** A node's load is what others have there
 * (`foreign`: the pending count of its last /info, less our own unfinished jobs at that moment) plus what we have
 * there right now, which we know from our own dispatches and completions and not from a stale count. The job
 * goes to the eligible node with the smallest (load + 1) / weight; of equals, to the one not chosen for longest.
 *
 * A node is eligible for a job if it runs all its containers, the first of them as an external one, and takes part
 * right now: available (up, not draining), not closed after transport failures, below the operator's
 * `maxInFlight`, and with fewer than `MAX_UNANSWERED` submissions that it has not answered yet.
 *
 * Jobs that no node can take are held here in order of arrival and released by events. Among containers the
 * oldest head goes first; a job never overtakes an older one for the same containers.
 */

/** What a job needs of a node. Jobs that need the same share a queue and a list of eligible nodes. */
export interface JobNeeds {
  readonly id: string;
  readonly containers: readonly string[];
  /** Nodes that have refused this job; it is not offered to them again. */
  readonly avoid?: readonly string[] | undefined;
  /** Nodes on which an attempt has failed; another one is preferred. */
  readonly shun?: readonly string[] | undefined;
}

/** A node as the policy has to know it. */
export interface NodeView {
  readonly id: string;
  /** Container id → whether it may come first. */
  readonly containers: ReadonlyMap<string, { readonly external: boolean }>;
  readonly available: boolean;
  /** Above 0; a node of weight 2 is given twice the work. */
  readonly weight: number;
  readonly maxInFlight: number | null;
}

/** A held job that goes to a node now. */
export interface Placement {
  readonly job: JobNeeds;
  readonly nodeId: string;
}

/** Submissions that may be open at one node: one batch under way and the next one gathering (see NodeSender). */
export const MAX_UNANSWERED = 200;

/** Kinds of jobs remembered beyond those that wait; callers can make up any number of chains. */
const MAX_IDLE_CLASSES = 1_000;

/** A node that fails a submission is left alone for this long, doubling with each further failure. */
const CLOSED_MS = { first: 500, longest: 30_000 };

interface NodeState {
  view: NodeView;
  /** Jobs of ours on the node, from dispatch until the result is known. */
  outstanding: number;
  /** Those of them whose submission is not answered yet. */
  unanswered: number;
  foreign: number;
  failures: number;
  closedUntilMs: number;
  /** A pause that the node asked for; unlike a closure it ends by time alone. */
  pausedUntilMs: number;
  /** Containers that fail on this node for reasons of infrastructure are left alone there for a while. */
  readonly closedPairs: Map<string, { failures: number; untilMs: number }>;
  lastChosen: number;
}

interface JobClass {
  readonly containers: readonly string[];
  readonly avoid: readonly string[];
  readonly shun: readonly string[];
  readonly pairKey: string;
  readonly queue: ArrivalQueue;
  /** Nodes that run these containers, whatever their health. */
  nodes: NodeState[];
}

export class Policy {
  private readonly nodes = new Map<string, NodeState>();
  private readonly classes = new Map<string, JobClass>();
  private choices = 0;
  /** The held jobs, with the class in whose queue each one is. */
  private readonly holding = new Map<string, JobClass>();

  /** How many jobs are held. */
  get held(): number {
    return this.holding.size;
  }

  /** Our unfinished jobs on a node. */
  outstandingOn(nodeId: string): number {
    return this.nodes.get(nodeId)?.outstanding ?? 0;
  }

  /** Work of other clients on a node, as of its last /info. */
  foreignOn(nodeId: string): number {
    return this.nodes.get(nodeId)?.foreign ?? 0;
  }

  /** A node joined, or something about it changed. */
  nodeChanged(view: NodeView): void {
    const known = this.nodes.get(view.id);
    if (known === undefined) {
      this.nodes.set(view.id, {
        view,
        outstanding: 0,
        unanswered: 0,
        foreign: 0,
        failures: 0,
        closedUntilMs: 0,
        pausedUntilMs: 0,
        closedPairs: new Map(),
        lastChosen: 0,
      });
      this.sortIntoClasses();
      return;
    }
    const offersChanged = known.view.containers !== view.containers;
    // Coming back up is news that outdates what earlier submissions suffered.
    if (view.available && !known.view.available) this.reopen(known);
    known.view = view;
    if (offersChanged) this.sortIntoClasses();
  }

  /** A node was removed. What is outstanding there is counted until it ends. */
  nodeLeft(nodeId: string): void {
    if (this.nodes.delete(nodeId)) this.sortIntoClasses();
  }

  /** /info was read: `pending` is everything unfinished on the node, ours included. */
  pendingSeen(nodeId: string, pending: number): void {
    const node = this.nodes.get(nodeId);
    if (node !== undefined) node.foreign = Math.max(0, pending - node.outstanding);
  }

  /**
   * Chooses a node for a job right now and counts the job there; undefined if the job has to be held.
   * A new job is held behind older ones of its kind; one that was already sent somewhere (`tried`) is not new.
   */
  place(job: JobNeeds, nowMs: number, tried?: ReadonlySet<string>): string | undefined {
    const jobClass = this.classOf(job);
    if (tried === undefined && jobClass.queue.length > 0) return undefined;
    return this.choose(jobClass, nowMs, tried)?.view.id;
  }

  /** Keeps a job until `release` hands it out. */
  hold(job: JobNeeds): void {
    const jobClass = this.classOf(job);
    const before = this.holding.get(job.id);
    if (before === jobClass) return;
    // What it needs has changed, such as the nodes that refuse it.
    before?.queue.remove(job.id);
    jobClass.queue.add(job.id);
    this.holding.set(job.id, jobClass);
  }

  /** Drops a job, if it is held. */
  forget(jobId: string): void {
    this.holding.get(jobId)?.queue.remove(jobId);
    this.holding.delete(jobId);
  }

  /** Hands out held jobs for which there is a node now, at most `limit`; each is counted on its node. */
  release(nowMs: number, limit = Infinity): Placement[] {
    const placements: Placement[] = [];
    const waiting = [...this.classes.values()].filter((jobClass) => jobClass.queue.length > 0);
    while (waiting.length > 0 && placements.length < limit) {
      const oldest = waiting.reduce((a, b) => ((a.queue.first ?? '') <= (b.queue.first ?? '') ? a : b));
      const node = this.choose(oldest, nowMs);
      const jobId = node === undefined ? undefined : oldest.queue.shift();
      if (node !== undefined && jobId !== undefined) {
        this.holding.delete(jobId);
        const { containers, avoid, shun } = oldest;
        placements.push({ job: { id: jobId, containers, avoid, shun }, nodeId: node.view.id });
      }
      if (jobId === undefined || oldest.queue.length === 0) waiting.splice(waiting.indexOf(oldest), 1);
    }
    return placements;
  }

  /** A job is on a node, or may be, though `place` did not choose it: found after a restart. */
  adopted(nodeId: string): void {
    const node = this.nodes.get(nodeId);
    if (node !== undefined) node.outstanding += 1;
  }

  /** The node took the job. */
  accepted(nodeId: string): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    node.unanswered = Math.max(0, node.unanswered - 1);
    this.reopen(node);
  }

  /** A submission ended without the job being on the node. `fault`: the node is to blame and is left alone a while. */
  notAccepted(nodeId: string, nowMs: number, fault: boolean): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    node.unanswered = Math.max(0, node.unanswered - 1);
    node.outstanding = Math.max(0, node.outstanding - 1);
    if (fault) this.faulted(nodeId, nowMs);
  }

  /** The node failed a request; it is closed for a while. */
  faulted(nodeId: string, nowMs: number): void {
    const node = this.nodes.get(nodeId);
    // Many requests that fail together are one failure.
    if (node === undefined || node.closedUntilMs > nowMs) return;
    node.failures += 1;
    node.closedUntilMs = nowMs + closedForMs(node.failures);
  }

  /** The submission got no answer: the job may be on the node, so it stays counted; the node is left alone a while. */
  unclear(nodeId: string, nowMs: number): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    node.unanswered = Math.max(0, node.unanswered - 1);
    this.faulted(nodeId, nowMs);
  }

  /** The node works, but these containers do not work there. */
  pairFaulted(nodeId: string, containers: readonly string[], nowMs: number): void {
    const pairs = this.nodes.get(nodeId)?.closedPairs;
    const pair = pairs?.get(pairKey(containers));
    if (pairs === undefined || (pair !== undefined && pair.untilMs > nowMs)) return;
    const failures = (pair?.failures ?? 0) + 1;
    pairs.set(pairKey(containers), { failures, untilMs: nowMs + closedForMs(failures) });
  }

  /** These containers did their work on the node. */
  pairWorked(nodeId: string, containers: readonly string[]): void {
    this.nodes.get(nodeId)?.closedPairs.delete(pairKey(containers));
  }

  /** This replica works with the node anew: what is there will be counted again as it is found. */
  laneReset(nodeId: string): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    node.outstanding = 0;
    node.unanswered = 0;
    this.reopen(node);
  }

  /** The node asked for a pause; that is no failure. */
  paused(nodeId: string, untilMs: number): void {
    const node = this.nodes.get(nodeId);
    if (node !== undefined) node.pausedUntilMs = Math.max(node.pausedUntilMs, untilMs);
  }

  /** A job that the node had accepted is over, however it ended. */
  ended(nodeId: string): void {
    const node = this.nodes.get(nodeId);
    if (node !== undefined) node.outstanding = Math.max(0, node.outstanding - 1);
  }

  /** When time alone will next make a difference, on the clock of `nowMs`; undefined if it will not. */
  nextChangeAt(nowMs: number): number | undefined {
    if (this.holding.size === 0) return undefined;
    let next: number | undefined;
    for (const { closedUntilMs, pausedUntilMs, closedPairs } of this.nodes.values()) {
      for (const untilMs of [
        closedUntilMs,
        pausedUntilMs,
        ...[...closedPairs.values()].map((pair) => pair.untilMs),
      ]) {
        if (untilMs > nowMs && (next === undefined || untilMs < next)) next = untilMs;
      }
    }
    return next;
  }

  private reopen(node: NodeState): void {
    node.failures = 0;
    node.closedUntilMs = 0;
  }

  private choose(jobClass: JobClass, nowMs: number, tried?: ReadonlySet<string>): NodeState | undefined {
    const { nodes, shun } = jobClass;
    const best =
      (shun.length > 0
        ? this.leastLoaded(
            nodes.filter(({ view }) => !shun.includes(view.id)),
            jobClass,
            nowMs,
            tried,
          )
        : undefined) ?? this.leastLoaded(nodes, jobClass, nowMs, tried);
    if (best === undefined) return undefined;
    this.choices += 1;
    best.lastChosen = this.choices;
    best.outstanding += 1;
    best.unanswered += 1;
    return best;
  }

  private leastLoaded(
    nodes: readonly NodeState[],
    jobClass: JobClass,
    nowMs: number,
    tried?: ReadonlySet<string>,
  ): NodeState | undefined {
    let best: NodeState | undefined;
    let bestLoad = Infinity;
    for (const node of nodes) {
      if (!isOpen(node, nowMs) || tried?.has(node.view.id)) continue;
      if ((node.closedPairs.get(jobClass.pairKey)?.untilMs ?? 0) > nowMs) continue;
      const load = (node.foreign + node.outstanding + 1) / node.view.weight;
      if (load < bestLoad || (load === bestLoad && best !== undefined && node.lastChosen < best.lastChosen)) {
        best = node;
        bestLoad = load;
      }
    }
    return best;
  }

  private classOf({ containers, avoid = [], shun = [] }: JobNeeds): JobClass {
    const key = JSON.stringify([containers, avoid, shun]);
    let jobClass = this.classes.get(key);
    if (jobClass === undefined) {
      if (this.classes.size >= MAX_IDLE_CLASSES) this.dropIdleClasses();
      jobClass = {
        containers,
        avoid,
        shun,
        pairKey: pairKey(containers),
        queue: new ArrivalQueue(),
        nodes: this.nodesFor(containers, avoid),
      };
      this.classes.set(key, jobClass);
    }
    return jobClass;
  }

  /** Offers changed: every class in which jobs wait gets its list of nodes anew. */
  private sortIntoClasses(): void {
    this.dropIdleClasses();
    for (const jobClass of this.classes.values()) {
      jobClass.nodes = this.nodesFor(jobClass.containers, jobClass.avoid);
    }
  }

  private dropIdleClasses(): void {
    for (const [key, { queue }] of this.classes) if (queue.length === 0) this.classes.delete(key);
  }

  private nodesFor(containers: readonly string[], avoid: readonly string[]): NodeState[] {
    return [...this.nodes.values()].filter(
      ({ view }) =>
        !avoid.includes(view.id) &&
        view.containers.get(containers[0] ?? '')?.external === true &&
        containers.every((id) => view.containers.has(id)),
    );
  }
}

function isOpen(node: NodeState, nowMs: number): boolean {
  const { view, outstanding, unanswered, closedUntilMs, pausedUntilMs } = node;
  return (
    view.available &&
    closedUntilMs <= nowMs &&
    pausedUntilMs <= nowMs &&
    unanswered < MAX_UNANSWERED &&
    (view.maxInFlight === null || outstanding < view.maxInFlight)
  );
}

function pairKey(containers: readonly string[]): string {
  return JSON.stringify(containers);
}

/** Doubles with each failure in a row. */
function closedForMs(failures: number): number {
  return Math.min(CLOSED_MS.longest, CLOSED_MS.first * 2 ** (failures - 1));
}
