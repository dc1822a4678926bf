/** A small seeded generator of random numbers (sfc32), so that every run of the benchmark is the same. */
export class Random {
  private a: number;
  private b = 0x9e3779b9;
  private c = 0x243f6a88;
  private d = 1;

  constructor(seed: number) {
    this.a = seed | 0;
    for (let i = 0; i < 20; i += 1) this.next();
  }

  /** Uniform in [0, 1). */
  next(): number {
    const sum = (((this.a + this.b) | 0) + this.d) | 0;
    this.d = (this.d + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (this.c << 21) | (this.c >>> 11);
    this.c = (this.c + sum) | 0;
    return (sum >>> 0) / 4_294_967_296;
  }

  /** A whole number in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** Exponential of mean 1. */
  exponential(): number {
    return -Math.log(1 - this.next());
  }

  /** Standard normal. */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
  }
}

/** How much work jobs are, in seconds on a node of speed 1. */
export type WorkLaw = 'exponential' | 'lognormal' | 'bimodal' | 'long';

const SIGMA = 1.5;

/** One job's work; every law has a mean of about 1 s, except `long`: 10 s and more, 20 s on average. */
export function drawWork(law: WorkLaw, random: Random): number {
  switch (law) {
    case 'exponential':
      return random.exponential();
    case 'lognormal':
      return Math.exp(SIGMA * random.normal() - (SIGMA * SIGMA) / 2);
    case 'bimodal':
      return random.next() < 0.95 ? 0.05 : 20;
    case 'long':
      return 10 + 10 * random.exponential();
  }
}

/** The law's exact mean. */
export function meanWork(law: WorkLaw): number {
  if (law === 'long') return 20;
  return law === 'bimodal' ? 0.95 * 0.05 + 0.05 * 20 : 1;
}
