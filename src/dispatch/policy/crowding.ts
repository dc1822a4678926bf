/**
 * Whether jobs take longer the more of them a node has. For each number of jobs, counted as one more is sent, the mean
 * logarithm of how long that one was on the node is kept. How much work a job is has nothing to do with the crowd
 * that it meets, so on a node with room the means are all the same; beyond its capacity k they grow, by log(n / k),
 * whether jobs wait there for a slot or share a processor. Each k explains the means with some error; least squares
 * against the known variance of job sizes gives its likelihood, and old samples fade.
 */

/** Each look leaves this much of the samples, so about the last five hundred count. */
const FADE = 0.985;
/** Crowds up to here have a level of their own; above, levels widen in proportion. */
const EXACT = 32;
const WIDENING = 1.12;
/** Of capacities about equally likely the largest is taken: one that is too small is hard to notice. In nats. */
const EQUAL = 0.5;

export class Crowding {
  /** By level: samples, and the sum of the logarithms of their durations. Level 0 stays empty. */
  private readonly samples: number[] = [];
  private readonly sums: number[] = [];

  /** @param crowd jobs on the node as it came, itself included */
  learn(crowd: number, durationMs: number): void {
    const level = levelOf(crowd);
    while (this.samples.length <= level) {
      this.samples.push(0);
      this.sums.push(0);
    }
    this.samples[level] = (this.samples[level] as number) + 1;
    this.sums[level] = (this.sums[level] as number) + Math.log(durationMs);
  }

  /**
   * The capacity that explains best what was seen, and the least that does so about as well; undefined while
   * nothing was seen.
   * @param variance of the logarithm of job sizes
   */
  capacity(variance: number): { jobs: number; least: number; logLikelihood: number } | undefined {
    if (this.samples.length < 2) return undefined;
    const likelihoods = this.likelihoods(variance);
    const best = Math.max(...likelihoods);
    const index = likelihoods.findLastIndex((likelihood) => likelihood >= best - EQUAL);
    const least = likelihoods.findIndex((likelihood) => likelihood >= best - EQUAL);
    return {
      jobs: Math.round(jobsAt(index + 1)),
      least: Math.round(jobsAt(least + 1)),
      logLikelihood: likelihoods[index] as number,
    };
  }

  /** How well this capacity explains what was seen, in nats; a capacity above all crowds means no limit. */
  logLikelihood(jobs: number, variance: number): number {
    const likelihoods = this.likelihoods(variance);
    return likelihoods[Math.min(levelOf(jobs), likelihoods.length) - 1] ?? 0;
  }

  fade(): void {
    for (let level = 1; level < this.samples.length; level += 1) {
      this.samples[level] = (this.samples[level] as number) * FADE;
      this.sums[level] = (this.sums[level] as number) * FADE;
    }
    while ((this.samples.at(-1) ?? 1) < 0.5) {
      this.samples.pop();
      this.sums.pop();
    }
  }

  clear(): void {
    this.samples.length = 0;
    this.sums.length = 0;
  }

  /**
   * How well each level explains what was seen as the capacity, the first level first. With d = mean − log n of a crowd
   * above the capacity k, what is left there is d + log k, whose weighted sum and square follow from those of d; so each
   * level costs the same, and not a pass over all.
   */
  private likelihoods(variance: number): number[] {
    const { samples, sums } = this;
    const top = samples.length - 1;
    let weight = 0;
    let sum = 0;
    let square = 0;
    for (let level = 1; level <= top; level += 1) {
      const count = samples[level] as number;
      const logs = sums[level] as number;
      weight += count;
      sum += logs;
      if (count > 0) square += (logs * logs) / count;
    }
    const likelihoods = Array.from({ length: Math.max(0, top) }, () => 0);
    let aboveWeight = 0;
    let aboveSum = 0;
    let aboveSquare = 0;
    for (let level = top; level >= 1 && weight > 0; level -= 1) {
      const log = logJobsAt(level);
      const wholeSum = sum + aboveSum + log * aboveWeight;
      const wholeSquare = square + aboveSquare + 2 * log * aboveSum + log * log * aboveWeight;
      const error = wholeSquare - (wholeSum * wholeSum) / weight;
      likelihoods[level - 1] = -error / (2 * Math.max(0.01, variance));
      const count = samples[level] as number;
      if (count === 0) continue;
      const logs = sums[level] as number;
      sum -= logs;
      square -= (logs * logs) / count;
      const beyond = logs - count * log;
      aboveWeight += count;
      aboveSum += beyond;
      aboveSquare += (beyond * beyond) / count;
    }
    return likelihoods;
  }
}

function levelOf(count: number): number {
  if (count <= EXACT) return count;
  return EXACT + Math.ceil(Math.log(count / EXACT) / Math.log(WIDENING));
}

function jobsAt(level: number): number {
  return level <= EXACT ? level : EXACT * WIDENING ** (level - EXACT);
}

const logJobs: number[] = [];

/** Asked for every level at each look, so each logarithm is taken once. */
function logJobsAt(level: number): number {
  for (let next = logJobs.length; next <= level; next += 1) logJobs.push(Math.log(jobsAt(next)));
  return logJobs[level] as number;
}
