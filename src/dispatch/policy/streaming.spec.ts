import { describe, expect, it } from 'vitest';
import { jobNeeds, nodeView, policyWith } from './policy.fixture.js';
import type { JobNeeds, Placement } from './placement.js';
import type { Policy } from './policy.js';

const TICK_MS = 5;
/** From when a stream has a slot until its first output. */
const PROMPT_MS = 20;

interface Running {
  readonly job: JobNeeds;
  outputAtMs: number;
  endsAtMs: number;
}

/** A node under virtual time that runs so many streams at once and takes any number. */
class StreamingNode {
  nowMs = 0;
  ended = 0;
  /** The longest that a stream waited for a place, in ms. */
  longestWaitMs = 0;
  /** The most that waited on the node for a slot. */
  mostQueued = 0;
  private readonly waitingSince = new Map<string, number>();
  private readonly running: Running[] = [];
  private readonly queue: JobNeeds[] = [];
  private number = 0;

  constructor(
    private readonly policy: Policy,
    public slots: number,
    private readonly lastsMs: number,
  ) {}

  /** Streams that wait for a place. */
  get held(): number {
    return this.waitingSince.size;
  }

  arrive(): void {
    const job = jobNeeds((this.number += 1), { urgent: true });
    const placement = this.policy.place(job, this.nowMs);
    if (placement !== undefined) return this.take(placement);
    this.waitingSince.set(job.id, this.nowMs);
    this.policy.hold(job, this.nowMs);
  }

  tick(): void {
    this.nowMs += TICK_MS;
    const { policy, nowMs, running } = this;
    for (const { job, outputAtMs } of running) if (outputAtMs === nowMs) policy.started('1', job, nowMs);
    for (const over of running.filter(({ endsAtMs }) => endsAtMs <= nowMs)) {
      running.splice(running.indexOf(over), 1);
      policy.ended('1', over.job, 'succeeded', nowMs);
      this.ended += 1;
    }
    for (const placement of policy.release(nowMs)) this.take(placement);
    while (running.length < this.slots && this.queue.length > 0) this.serve(this.queue.shift() as JobNeeds);
    this.mostQueued = Math.max(this.mostQueued, this.queue.length);
    for (const sinceMs of this.waitingSince.values()) {
      this.longestWaitMs = Math.max(this.longestWaitMs, nowMs - sinceMs);
    }
  }

  private take({ job }: Placement): void {
    this.waitingSince.delete(job.id);
    this.policy.accepted('1', job, this.nowMs);
    if (this.running.length < this.slots) this.serve(job);
    else this.queue.push(job);
  }

  private serve(job: JobNeeds): void {
    const { nowMs, lastsMs } = this;
    this.running.push({ job, outputAtMs: nowMs + PROMPT_MS, endsAtMs: nowMs + lastsMs });
  }
}

function streamsOn(slots: number, lastsMs: number): StreamingNode {
  return new StreamingNode(policyWith(nodeView('1')), slots, lastsMs);
}

describe('streams on a node without a limit', () => {
  it('open as fast as their first outputs show that they are served', () => {
    const node = streamsOn(Infinity, 10_000);
    for (let count = 0; count < 1_000; count += 1) node.arrive();
    for (let count = 0; count < 400; count += 1) node.tick();
    // Ten doublings.
    expect(node.longestWaitMs).toBeLessThan(20 * PROMPT_MS);
  });

  it('open so too after many that were short came one after the other, or a few at a time', () => {
    const node = streamsOn(Infinity, 100);
    for (const atOnce of [1, 3, 1, 7]) {
      for (let round = 0; round < 200; round += 1) {
        for (let count = 0; count < atOnce; count += 1) node.arrive();
        for (let count = 0; count < 30; count += 1) node.tick();
      }
    }
    for (let count = 0; count < 1_000; count += 1) node.arrive();
    for (let count = 0; count < 400; count += 1) node.tick();
    expect(node.longestWaitMs).toBeLessThan(20 * PROMPT_MS);
    expect(node.ended).toBe(200 * 12 + 1_000);
  });

  it('come to that too where it had a limit before, and has streams of that time still', () => {
    const policy = policyWith(nodeView('1'));
    const node = new StreamingNode(policy, 2, 1_000);
    const later = (ticks: number): void => {
      for (let count = 0; count < ticks; count += 1) {
        // There are always some that wait.
        if (count % 100 === 0) node.arrive();
        if (count % 200 === 0) policy.rescue(node.nowMs);
        node.tick();
      }
    };
    for (let count = 0; count < 10; count += 1) node.arrive();
    later(8_000);
    expect(policy.explain(['a'], node.nowMs).nodes[0]?.slots).toBe(2);
    node.slots = Infinity;
    for (let count = 0; count < 500; count += 1) node.arrive();
    later(600);
    expect(node.held).toBe(0);
  });
});

describe('streams on a node with a limit', () => {
  it.each([1, 4, 16])('find %i slots, and seldom wait on the node beyond them', (slots) => {
    const policy = policyWith(nodeView('1'));
    const node = new StreamingNode(policy, slots, 1_000);
    for (let count = 0; count < 40 * slots; count += 1) node.arrive();
    for (let count = 0; count < 15_000; count += 1) node.tick();
    expect(node.ended).toBe(40 * slots);
    expect(node.mostQueued).toBeLessThanOrEqual(slots);
    expect(policy.explain(['a'], node.nowMs).nodes[0]).toMatchObject({ slots });
  });
});
