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
  private readonly samples: number[] = [];
  private readonly sums: number[] = [];

  /** @param crowd jobs on the node as it came, itself included */
  learn(crowd: number, durationMs: number): void {
    const level = levelOf(crowd);
    this.samples[level] = (this.samples[level] ?? 0) + 1;
    this.sums[level] = (this.sums[level] ?? 0) + Math.log(durationMs);
  }

  /**
   * The capacity that explains best what was seen, and the least that does so about as well; undefined while
   * nothing was seen.
   * @param variance of the logarithm of job sizes
   */
  capacity(variance: number): { jobs: number; least: number; logLikelihood: number } | undefined {
    const top = this.samples.length - 1;
    if (top < 1) return undefined;
    const likelihoods: number[] = [];
    for (let level = 1; level <= top; level += 1) likelihoods.push(this.likelihoodAt(level, variance));
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
    return this.likelihoodAt(levelOf(jobs), variance);
  }

  fade(): void {
    for (let level = 1; level < this.samples.length; level += 1) {
      this.samples[level] = (this.samples[level] ?? 0) * FADE;
      this.sums[level] = (this.sums[level] ?? 0) * FADE;
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

  private likelihoodAt(capacity: number, variance: number): number {
    let weight = 0;
    let sum = 0;
    let square = 0;
    for (let level = 1; level < this.samples.length; level += 1) {
      const samples = this.samples[level] ?? 0;
      if (samples === 0) continue;
      const crowding = level > capacity ? logJobsAt(level) - logJobsAt(capacity) : 0;
      const mean = (this.sums[level] as number) / samples - crowding;
      weight += samples;
      sum += samples * mean;
      square += samples * mean * mean;
    }
    return weight === 0 ? 0 : -(square - (sum * sum) / weight) / (2 * Math.max(0.01, variance));
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

/** Asked for every pair of levels at each look, so each logarithm is taken once. */
function logJobsAt(level: number): number {
  for (let next = logJobs.length; next <= level; next += 1) logJobs.push(Math.log(jobsAt(next)));
  return logJobs[level] as number;
}
