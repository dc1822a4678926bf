/**
 * How long jobs take, learned from successes alone. Jobs for the same containers differ in size far more than nodes
 * differ in load, so the two are told apart: a service time is the job's work times the node's slowness. Both are
 * learned as means of logarithms, because one job in twenty that is four hundred times the others would drown a
 * plain mean for hundreds of samples, and hardly moves this one.
 */

/** Newer samples count more: a sample's share once there are many. */
const WORK_SHARE = 1 / 500;
const P99_STEP = 0.4;
/** What is left, after one more job, of the memory of the longest. */
const LONGEST_FADES = 0.9999;
/** Samples that a node's slowness remembers, and for how long, in ms. */
const REMEMBERED = 300;
const MEMORY_MS = 120_000;
/** How far apart nodes usually are, as the variance of the logarithm of their slowness. */
const VARIANCE_OF_NODES = 2;
/** Samples from which on a plain mean is no accident, and from which on the longest of them tells something. */
const ENOUGH = 8;
const SETTLED = 20;
const LOG_FLOOR = -Math.log(16);
const LOG_CEILING = Math.log(256);
/** CUSUM: the drift allowed, the sum that proves a change, and the most that one sample adds, in standard deviations. */
const CUSUM = { slack: 0.5, proof: 6, most: 1 };
/** No sample counts as farther out than the larger of these, in standard deviations and as a logarithm. */
const FARTHEST = { deviations: 4, log: 4 };
/** What is assumed of containers that have never run, in ms. */
const UNKNOWN_WORK_MS = 1_000;

/** What a restart keeps of a work estimate. */
export type SavedWork = readonly [
  samples: number,
  logMean: number,
  logVariance: number,
  meanMs: number,
  logP99: number,
];

/** The work of jobs for the same containers, on a node of slowness 1. */
export class WorkEstimate {
  private samples = 0;
  private logMean = 0;
  private variance = 1;
  private mean = UNKNOWN_WORK_MS;
  private logP99 = 0;
  private longest = 0;

  get known(): boolean {
    return this.samples > 0;
  }

  /** Whether enough jobs have run to say what is usual. */
  get settled(): boolean {
    return this.samples >= SETTLED;
  }

  get meanMs(): number {
    return this.mean;
  }

  /** All but one in a hundred take no longer. */
  get p99Ms(): number {
    return this.known ? Math.exp(this.logP99) : UNKNOWN_WORK_MS;
  }

  /** About the most that was seen lately. */
  get longestMs(): number {
    return this.longest;
  }

  /** Of the logarithm of the work. */
  get logVariance(): number {
    return this.variance;
  }

  /** Samples that a node needs until they weigh as much as the assumption that it is like the others. */
  get shrinkage(): number {
    return Math.min(10, Math.max(1, this.variance / VARIANCE_OF_NODES));
  }

  /** How much larger than usual a job seemed, as a logarithm, on a node of slowness 1. */
  residual(serviceMs: number): number {
    return this.known ? Math.log(serviceMs) - this.logMean : 0;
  }

  learn(serviceMs: number, slowness: number): void {
    const workMs = serviceMs / slowness;
    const logWork = Math.log(workMs);
    this.samples += 1;
    if (this.samples === 1) {
      this.logMean = logWork;
      this.mean = workMs;
      this.logP99 = logWork + 1.5;
      return;
    }
    this.longest = Math.max(workMs, this.longest * LONGEST_FADES);
    const share = Math.max(WORK_SHARE, 1 / this.samples);
    const off = logWork - this.logMean;
    this.logMean += share * off;
    this.variance += share * (off * off - this.variance);
    this.mean += share * (workMs - this.mean);
    // Stochastic approximation of a quantile (Robbins and Monro, 1951), in larger steps upward while it is new.
    const step = Math.max(P99_STEP / 10, P99_STEP / Math.sqrt(this.samples));
    const above = logWork - this.logP99;
    const jump = this.samples < 1_000 ? above / 2 : 0;
    this.logP99 += above > 0 ? Math.max(step * 0.99, jump) : -step * 0.01;
  }

  save(): SavedWork {
    return [this.samples, this.logMean, this.variance, this.mean, this.logP99];
  }

  restore([samples, logMean, logVariance, meanMs, logP99]: SavedWork): void {
    this.samples = samples;
    this.logMean = logMean;
    this.variance = logVariance;
    this.mean = meanMs;
    this.logP99 = logP99;
  }
}

/** What a restart keeps of a slowness estimate; the time is not kept. */
export type SavedSlowness = readonly [weight: number, sum: number];

/**
 * How much slower than the fleet one node runs one kind of job. The estimate is shrunk toward 1 by the number of its
 * samples, or one unlucky first sample would starve a node for ever; and old samples fade, or a node that has
 * recovered would never be tried again. A change of pace is noticed by two CUSUM sums (Page, 1954): once the samples
 * have left their mean for certain, the older ones are dropped.
 */
export class SlownessEstimate {
  private weight = 0;
  private sum = 0;
  private atMs = 0;
  private readonly slower = new ChangeSum();
  private readonly faster = new ChangeSum();

  /** Samples that still count. */
  get samples(): number {
    return this.weight;
  }

  /** 1 is the fleet's usual; 2 takes twice as long. */
  at(nowMs: number, work: WorkEstimate): number {
    const left = this.fade(nowMs);
    const log = (this.sum * left) / (this.weight * left + work.shrinkage);
    return Math.exp(Math.min(LOG_CEILING, Math.max(LOG_FLOOR, log)));
  }

  /** The same as it was measured, once there are samples enough: what work is learned by must not be biased. */
  unshrunk(nowMs: number, work: WorkEstimate): number {
    return this.weight < ENOUGH ? this.at(nowMs, work) : Math.exp(this.sum / this.weight);
  }

  /** @returns whether the node has changed its pace */
  learn(serviceMs: number, nowMs: number, work: WorkEstimate): boolean {
    const deviation = Math.max(0.1, Math.sqrt(work.logVariance));
    const residual = work.residual(serviceMs);
    const mean = this.weight > 0 ? this.sum / this.weight : 0;
    // One sample says only so much, however far out it is.
    const farthest = Math.max(FARTHEST.deviations * deviation, FARTHEST.log);
    const sample = mean + Math.min(farthest, Math.max(-farthest, residual - mean));
    const left = this.fade(nowMs) * Math.min(1, (REMEMBERED - 1) / Math.max(1, this.weight));
    this.weight = this.weight * left + 1;
    this.sum = this.sum * left + sample;
    this.atMs = nowMs;
    const off = (sample - mean) / deviation;
    const up = this.slower.add(off, sample);
    const down = this.faster.add(-off, sample);
    const change = up ? this.slower : down ? this.faster : undefined;
    if (change === undefined) return false;
    this.weight = change.count;
    this.sum = change.total;
    this.slower.reset();
    this.faster.reset();
    return true;
  }

  /** What was measured may not hold any more: it weighs less. */
  doubt(): void {
    this.weight /= 4;
    this.sum /= 4;
  }

  forget(): void {
    this.weight = 0;
    this.sum = 0;
    this.slower.reset();
    this.faster.reset();
  }

  save(): SavedSlowness {
    return [this.weight, this.sum];
  }

  restore([weight, sum]: SavedSlowness, nowMs: number): void {
    this.weight = weight;
    this.sum = sum;
    this.atMs = nowMs;
  }

  private fade(nowMs: number): number {
    return Math.exp(-Math.max(0, nowMs - this.atMs) / MEMORY_MS);
  }
}

/** One side of a CUSUM chart, with the samples since it last stood at zero. */
class ChangeSum {
  count = 0;
  total = 0;
  private excess = 0;

  /** @returns whether the change is proven */
  add(off: number, sample: number): boolean {
    this.excess += Math.min(CUSUM.most, off) - CUSUM.slack;
    if (this.excess <= 0) {
      this.reset();
      return false;
    }
    this.count += 1;
    this.total += sample;
    return this.excess > CUSUM.proof;
  }

  reset(): void {
    this.excess = 0;
    this.count = 0;
    this.total = 0;
  }
}
