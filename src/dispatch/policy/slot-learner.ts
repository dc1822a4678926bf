import { Crowding } from './crowding.js';

/**
 * How many jobs of one kind a node runs at once, which no node says. Two kinds of evidence:
 *
 * **Overtaking** is proof. A node starts jobs in the order in which they come, so a success while k−1 earlier jobs are
 * unfinished shows that k were running: `slots = max(slots, k)`. (Round-trip times show nothing: job sizes vary more
 * than queueing does.)
 *
 * **Output** is proof too: streams that give output at the same time are in service at the same time.
 *
 * **Crowding** is statistics (crowding.ts), for what overtaking cannot tell: jobs of one size never overtake each
 * other, and containers that start everything at once and share a processor let every job overtake.
 *
 * | state | window | ends when |
 * |---|---|---|
 * | starting, from 1 slot | twice the slots | jobs beyond the slots have waited, again and again, and nothing grew |
 * | settled | the slots, and now and then one more | something grows: starting again |
 * | sharing, when jobs took longer the more there were | the capacity by crowding, and one more, which shows whether it grew | never |
 *
 * Slots grow by one doubling in each generation of jobs at most, so crowding is noticed before it hurts.
 */

/** Some containers only pass work on to a cloud and run anything at once. */
export const MOST_SLOTS = 1_024;
/** By how much a limit, or the lack of one, has to explain better what was seen, in nats. */
const PROOF = { sharing: 5, growth: 4 };
/** Of two explanations that differ by less, in nats, neither is better: that much comes of rounding. */
const TIE = 1e-9;
/** Successes between two looks at the crowding. */
const LOOK_EVERY = 8;
/** Successes with a job waiting beyond the slots that end the start, at least. */
const QUIET = 8;
/** Times that the start may end with nothing certain, before it ends all the same. */
const MOST_DOUBTS = 6;
/** So many are no crowd. */
const RESTART_ABOVE = 4;
/** For how many successes one job more is sent, at least and by slots; successes between two such probes. */
const PROBE = { shortest: 6, lengthBySlots: 2, pause: 32, longestPause: 512 };

/** A job that succeeded, as the learner has to know it. */
export interface Success {
  /** Its place among the unfinished jobs in order of dispatch, from 1. */
  readonly position: number;
  /** Unfinished jobs as it was sent, and as it ended, itself included. */
  readonly crowd: number;
  readonly count: number;
  /** From dispatch until its end, in ms. */
  readonly durationMs: number;
  /** Of the logarithm of the sizes of such jobs. */
  readonly variance: number;
}

export type SavedSlots = readonly [slots: number, starting: boolean, sharing: boolean];

export class SlotLearner {
  slots = 1;
  /** Nothing is known of the upper end yet. */
  starting = true;
  sharing = false;
  private readonly crowding = new Crowding();
  /** While starting: no more than the slots are sent for a while, to see what difference it makes. */
  private narrow = false;
  private doubts = 0;
  private quiet = 0;
  private probing = 0;
  private pause = PROBE.pause;
  private untilProbe = PROBE.pause;
  private successes = 0;
  private sinceGrowth = 0;

  /** How many jobs may be there. */
  get window(): number {
    if (this.starting) return this.narrow ? this.slots : Math.max(2, 2 * this.slots);
    return this.sharing || this.probing > 0 ? this.slots + 1 : this.slots;
  }

  /** @returns whether the node turns out, for the first time, to share a processor */
  succeeded({ position, crowd, count, durationMs, variance }: Success): boolean {
    this.crowding.learn(crowd, durationMs);
    this.successes += 1;
    this.sinceGrowth += 1;
    if (this.successes % LOOK_EVERY === 0) {
      const shares = this.look(variance);
      this.crowding.fade();
      if (shares) return true;
    }
    if (this.sharing) return false;
    if (position > this.slots) this.grow(position);
    else this.pass(count > this.slots, variance);
    return false;
  }

  /** A job that had proven its slot by its output succeeded. @param full whether others waited beyond the slots */
  streamed(full: boolean, variance: number): false {
    this.sinceGrowth += 1;
    if (!this.sharing) this.pass(full, variance);
    return false;
  }

  /** So many jobs were seen in service at the same time. @returns whether that proves slots that were not known */
  seenAtOnce(count: number): boolean {
    if (this.sharing || count <= this.slots) return false;
    this.raise(count);
    return true;
  }

  /**
   * The last job has ended. A shared processor that was crowded is taken up again with half as many, as TCP does with
   * a connection that was idle (RFC 2861). @returns whether it is so
   */
  idle(): boolean {
    if (!this.sharing || this.slots <= RESTART_ABOVE) return false;
    this.slots = Math.ceil(this.slots / 2);
    return true;
  }

  /** The node works at another pace now: what was seen before would look like crowding. */
  paceChanged(): void {
    if (!this.starting && !this.sharing) this.crowding.clear();
  }

  save(): SavedSlots {
    return [this.slots, this.starting, this.sharing];
  }

  restore([slots, starting, sharing]: SavedSlots): void {
    this.slots = slots;
    this.starting = starting;
    this.sharing = sharing;
  }

  private grow(slots: number): void {
    if (this.sinceGrowth >= this.slots) this.raise(slots);
  }

  private raise(slots: number): void {
    this.sinceGrowth = 0;
    this.slots = Math.min(MOST_SLOTS, slots);
    this.starting = true;
    this.narrow = false;
    this.doubts = 0;
    this.quiet = 0;
    this.pause = PROBE.pause;
  }

  /** A success that proved nothing; `full` if there was a job beyond the slots, which could have. */
  private pass(full: boolean, variance: number): void {
    if (this.starting) {
      if (full || this.narrow) this.quiet += 1;
      if (this.quiet >= Math.max(QUIET, 2 * this.slots)) this.concludeStart(variance);
    } else if (this.probing > 0) {
      if (full) this.probing -= 1;
      if (this.probing > 0) return;
      if (this.better(variance).gain > PROOF.growth) return this.grow(this.slots + 1);
      this.pause = Math.min(PROBE.longestPause, this.pause * 2);
      this.untilProbe = this.pause;
    } else {
      this.untilProbe -= 1;
      if (this.untilProbe <= 0) this.probing = Math.max(PROBE.shortest, PROBE.lengthBySlots * this.slots);
    }
  }

  /**
   * Nothing overtook for long. Either the slots are all there are, or the jobs are alike: then only the crowding
   * tells, and to tell it needs crowds of two sizes.
   */
  private concludeStart(variance: number): void {
    this.quiet = 0;
    const { slots, gain } = this.better(variance);
    if (gain > PROOF.growth) return this.grow(Math.min(2 * this.slots, slots));
    this.doubts += 1;
    this.narrow = !this.narrow && gain > -TIE;
    if (gain <= -TIE || this.doubts > MOST_DOUBTS) this.starting = false;
  }

  /**
   * More slots that may explain what was seen better than those that are proven, and by how much, in nats; minus
   * infinity if there are none.
   */
  private better(variance: number): { slots: number; gain: number } {
    const { crowding, slots } = this;
    const capacity = crowding.capacity(variance);
    if (capacity === undefined || capacity.jobs <= slots) return { slots, gain: -Infinity };
    return { slots: capacity.jobs, gain: capacity.logLikelihood - crowding.logLikelihood(slots, variance) };
  }

  private look(variance: number): boolean {
    const { crowding, sharing } = this;
    const capacity = crowding.capacity(variance);
    if (capacity === undefined) return false;
    const proof = capacity.logLikelihood - crowding.logLikelihood(MOST_SLOTS, variance);
    const proven = this.starting && 2 * capacity.jobs < this.slots && proof > PROOF.sharing;
    if (!sharing && !proven) return false;
    this.sharing = true;
    this.starting = false;
    // From a crowd it is hard to see how small the capacity is; from below, growing, it is easy.
    this.slots = sharing ? this.adjusted(capacity) : capacity.least;
    return !sharing;
  }

  /** One step up, or down to what is likely; and where nearly anything is, down a little, to see the difference. */
  private adjusted({ jobs, least }: { jobs: number; least: number }): number {
    const { slots } = this;
    if (slots > jobs) return jobs;
    return slots > Math.max(RESTART_ABOVE, 2 * least) ? Math.floor(0.9 * slots) : Math.min(jobs, slots + 1);
  }
}
