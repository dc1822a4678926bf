import { Agenda } from './agenda.js';
import { drawWork, meanWork, Random, type WorkLaw } from './random.js';
import { SimulatedNode, type Discipline } from './simulated-node.js';

/** The fleet that all numbers are about, unless a scenario says otherwise: 30 slots, 80 s of work done in a second. */
export const FLEET = {
  slots: [4, 2, 8, 4, 1, 2, 4, 2, 1, 2],
  speeds: [1, 1, 1, 2, 2, 4, 4, 4, 8, 8],
} as const;

/** A share of the run, by arrivals: 0.4 is when four tenths of the jobs have come. */
export interface Fault {
  readonly node: number;
  readonly from: number;
  readonly until: number;
  /** `slow`: ten times; `hole`: fails every job at once; `hang`: stands still; `absent`: is not there at all. */
  readonly kind: 'slow' | 'hole' | 'hang' | 'absent';
}

export interface Scenario {
  readonly name: string;
  readonly law: WorkLaw;
  /** Load as a share of what the fleet can do. */
  readonly utilisation: number;
  readonly slots: readonly number[];
  readonly speeds: readonly number[];
  readonly discipline: Discipline;
  readonly faults: readonly Fault[];
  /** A node that other clients use as well, for this share of what it can do. */
  readonly foreign?: { readonly node: number; readonly share: number };
  /** Multiplies the work of every job. */
  readonly scale: number;
  /** All jobs come at once, or so many at a time, each followed by another as it ends. */
  readonly arrivals: 'poisson' | 'burst' | { readonly clients: number };
  readonly jobs: number;
}

/** What is measured of a run. Times in ms. */
export interface Outcome {
  readonly meanMs: number;
  readonly p99Ms: number;
  readonly makespanMs: number;
  /** Jobs that were given up. */
  readonly lost: number;
  /** Jobs that spent more than 180 s on a node, which a real node cuts off. */
  readonly tooLong: number;
  /** Requests beyond a node's rate limit. */
  readonly overLimit: number;
}

/** Decides where jobs go. It hears of an arrival, and of an end when it has to find out itself. */
export interface Balancer {
  arrived(job: number): void;
  /** The truth about a node changed; only the omniscient bound listens. */
  changed?(node: number): void;
  readonly overLimit?: number;
}

const WARM_UP = 0.15;
const NODE_LIMIT_MS = 180_000;

/** One run: jobs arrive, a balancer sends them to nodes, completion times are kept. */
export class World {
  readonly agenda = new Agenda();
  readonly nodes: SimulatedNode[];
  readonly works: Float64Array;
  readonly absent: boolean[];
  private readonly arrivedAt: Float64Array;
  private readonly doneAt: Float64Array;
  private left: number;
  private lost = 0;
  private readonly tooLong = new Set<number>();
  private balancer: Balancer | undefined;
  private readonly random: Random;

  constructor(
    readonly scenario: Scenario,
    readonly seed: number,
  ) {
    this.random = new Random(seed);
    const { slots, speeds, discipline, jobs, law, scale } = scenario;
    this.nodes = slots.map(
      (count, node) => new SimulatedNode(this.agenda, count, speeds[node] as number, discipline),
    );
    this.absent = slots.map(() => false);
    this.works = Float64Array.from({ length: jobs }, () => drawWork(law, this.random) * scale * 1_000);
    this.arrivedAt = new Float64Array(jobs);
    this.doneAt = new Float64Array(jobs).fill(-1);
    this.left = jobs;
  }

  get nowMs(): number {
    return this.agenda.nowMs;
  }

  /** Mean work of a job, in ms at speed 1. */
  get meanWorkMs(): number {
    return meanWork(this.scenario.law) * this.scenario.scale * 1_000;
  }

  get over(): boolean {
    return this.left === 0;
  }

  /** @param makeBalancer may look at the nodes' truth, which all but the bound should not */
  run(makeBalancer: (world: World) => Balancer): Outcome {
    this.planArrivals();
    this.planFaults();
    this.planForeign();
    const balancer = makeBalancer(this);
    this.balancer = balancer;
    while (this.left > 0 && this.agenda.step());
    return this.outcome(balancer);
  }

  /** Sends a job to a node. `onDone` tells how it ended there; a job is finished by `finish`. */
  send(job: number, node: number, onDone: (ok: boolean) => void): void {
    const sentAt = this.nowMs;
    (this.nodes[node] as SimulatedNode).submit(this.works[job] as number, (ok) => {
      if (this.nowMs - sentAt > NODE_LIMIT_MS) this.tooLong.add(job);
      onDone(ok);
    });
  }

  /** The gateway knows that the job is done. A second time changes nothing. */
  finish(job: number): void {
    if ((this.doneAt[job] as number) >= 0) return;
    this.doneAt[job] = this.nowMs;
    this.left -= 1;
    const { arrivals, jobs } = this.scenario;
    if (typeof arrivals === 'object' && this.next < jobs) this.arrive();
  }

  giveUp(job: number): void {
    if ((this.doneAt[job] as number) < 0) this.lost += 1;
    this.finish(job);
  }

  isDone(job: number): boolean {
    return (this.doneAt[job] as number) >= 0;
  }

  private next = 0;

  private arrive(): void {
    const job = this.next;
    this.next += 1;
    this.arrivedAt[job] = this.nowMs;
    this.balancer?.arrived(job);
  }

  private planArrivals(): void {
    const { arrivals, jobs } = this.scenario;
    if (typeof arrivals === 'object') {
      for (let client = 0; client < arrivals.clients; client += 1) this.agenda.at(0, () => this.arrive());
      return;
    }
    if (arrivals === 'burst') {
      for (let job = 0; job < jobs; job += 1) this.agenda.at(0, () => this.arrive());
      return;
    }
    const gapMs = this.meanGapMs();
    const next = (): void => {
      this.arrive();
      if (this.next < jobs) this.agenda.at(this.nowMs + gapMs * this.random.exponential(), next);
    };
    this.agenda.at(gapMs * this.random.exponential(), next);
  }

  /** Nodes that come later do not count: the load is that of the fleet at the start. */
  private meanGapMs(): number {
    const { slots, speeds, utilisation, faults } = this.scenario;
    const late = new Set(faults.filter(({ kind }) => kind === 'absent').map(({ node }) => node));
    const rates = slots.map((count, node) => (late.has(node) ? 0 : count * (speeds[node] as number)));
    return this.meanWorkMs / (rates.reduce((sum, rate) => sum + rate, 0) * utilisation);
  }

  private planFaults(): void {
    const spanMs = this.meanGapMs() * this.scenario.jobs;
    for (const { node, kind, from, until } of this.scenario.faults) {
      if (from === 0) this.setFault(node, kind, true);
      else this.agenda.at(from * spanMs, () => this.setFault(node, kind, true));
      this.agenda.at(until * spanMs, () => this.setFault(node, kind, false));
    }
  }

  private setFault(index: number, kind: Fault['kind'], on: boolean): void {
    const node = this.nodes[index] as SimulatedNode;
    if (kind === 'slow') node.setPace(on ? 0.1 : 1);
    if (kind === 'hang') node.setPace(on ? 0 : 1);
    if (kind === 'absent') this.absent[index] = on;
    if (kind === 'hole') node.setFailing(on);
    this.balancer?.changed?.(index);
  }

  /** Other clients' jobs take what they find, like ours. */
  private planForeign(): void {
    const { foreign, law, scale } = this.scenario;
    if (foreign === undefined) return;
    const node = this.nodes[foreign.node] as SimulatedNode;
    const random = new Random(this.seed + 1_000_003);
    const gapMs = this.meanWorkMs / (node.slots * node.speed * foreign.share);
    const next = (): void => {
      node.submit(drawWork(law, random) * scale * 1_000, () => this.balancer?.changed?.(foreign.node));
      this.agenda.at(this.nowMs + gapMs * random.exponential(), next);
    };
    this.agenda.at(gapMs * random.exponential(), next);
  }

  private outcome(balancer: Balancer): Outcome {
    const { jobs } = this.scenario;
    const from = this.scenario.arrivals === 'burst' ? 0 : Math.floor(jobs * WARM_UP);
    const times = new Float64Array(jobs - from);
    let makespanMs = 0;
    for (let job = 0; job < jobs; job += 1) {
      const doneAt = this.doneAt[job] as number;
      makespanMs = Math.max(makespanMs, doneAt);
      if (job >= from) times[job - from] = doneAt - (this.arrivedAt[job] as number);
    }
    times.sort();
    const meanMs = times.reduce((sum, time) => sum + time, 0) / times.length;
    const p99Ms = times[Math.min(times.length - 1, Math.floor(times.length * 0.99))] as number;
    const { lost, tooLong } = this;
    return { meanMs, p99Ms, makespanMs, lost, tooLong: tooLong.size, overLimit: balancer.overLimit ?? 0 };
  }
}
