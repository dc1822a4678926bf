import { describe, expect, it } from 'vitest';
import type { JobNeeds } from './placement.js';
import { jobNeeds, nodeView } from './policy.fixture.js';
import { Policy } from './policy.js';
import type { Ending } from './pair.js';
import type { RuleName } from './rules.js';

/** What must hold whatever happens, tried with random events; a failure names its seed. */

/** A generator of numbers in [0, 1) (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const KINDS = [['a'], ['b'], ['a', 'b']] as const;
const ENDINGS: readonly Ending[] = [
  'succeeded',
  'succeeded',
  'succeeded',
  'succeeded',
  'failed',
  'faulted',
  'gone',
];
const CAPS: Readonly<Record<string, number | null>> = { n0: null, n1: 3, n2: null, n3: 1 };

/** Random events on a policy; it checks as it goes. */
class Trial {
  readonly policy: Policy;
  readonly left = new Set<string>();
  private readonly random: () => number;
  private readonly on = new Map<string, { job: JobNeeds; nodeId: string; answered: boolean }>();
  private readonly held = new Map<string, JobNeeds>();
  private nowMs = 0;
  private arrived = 0;

  constructor(
    seed: number,
    private readonly rule: RuleName,
  ) {
    this.random = randomOf(seed);
    this.policy = new Policy({ rule });
    for (const id of Object.keys(CAPS)) this.changeNode(id, true);
  }

  step(): void {
    this.nowMs += Math.floor(this.random() * 200);
    const choice = this.random();
    if (choice < 0.45) this.arrive();
    else if (choice < 0.85) this.endOne();
    else if (choice < 0.88) this.changeNode(this.oneOf(Object.keys(CAPS)), this.random() < 0.6);
    else if (choice < 0.9) this.policy.faulted(this.oneOf(Object.keys(CAPS)), this.nowMs);
    else if (choice < 0.92)
      this.policy.pendingSeen(this.oneOf(Object.keys(CAPS)), Math.floor(this.random() * 9));
    else if (choice < 0.94) this.policy.budget(this.oneOf(Object.keys(CAPS)), this.nowMs + 300);
    else if (choice < 0.96) this.policy.rescue(this.nowMs);
    else this.release();
    this.check();
  }

  /** Nothing new comes, all nodes are well, everything ends. */
  drain(): void {
    for (const id of Object.keys(CAPS)) this.changeNode(id, true);
    for (let i = 0; this.left.size > 0 && i < 20_000; i += 1) {
      this.release();
      const wakeAtMs = this.policy.nextChangeAt(this.nowMs);
      if (this.on.size > 0) this.endOne('succeeded');
      else if (wakeAtMs !== undefined) this.nowMs = wakeAtMs;
      this.nowMs += 1;
      this.check();
    }
  }

  private arrive(): void {
    this.arrived += 1;
    const job = jobNeeds(this.arrived, {
      containers: this.oneOf(KINDS),
      avoid: this.random() < 0.1 ? ['n0'] : [],
    });
    this.left.add(job.id);
    const placement = this.policy.place(job, this.nowMs);
    if (placement === undefined) this.keep(job);
    else this.start(job, placement.nodeId);
  }

  private keep(job: JobNeeds): void {
    this.held.set(job.id, job);
    this.policy.hold(job, this.nowMs);
  }

  private start(job: JobNeeds, nodeId: string): void {
    const cap = CAPS[nodeId] ?? null;
    const there = [...this.on.values()].filter((one) => one.nodeId === nodeId);
    if (cap !== null) expect(there.length).toBeLessThan(cap);
    expect(job.avoid ?? []).not.toContain(nodeId);
    // FIFO: nothing older that needs the same and may go anywhere this one may is still held.
    for (const other of this.held.values()) {
      const alike =
        JSON.stringify([other.containers, other.avoid]) === JSON.stringify([job.containers, job.avoid]);
      if (alike) expect(other.id >= job.id).toBe(true);
    }
    this.held.delete(job.id);
    this.on.set(job.id, { job, nodeId, answered: false });
    if (this.random() < 0.9) this.answer(job.id);
  }

  private answer(id: string): void {
    const one = this.on.get(id);
    if (one === undefined || one.answered) return;
    one.answered = true;
    this.policy.accepted(one.nodeId, one.job, this.nowMs);
  }

  private endOne(ending: Ending = this.oneOf(ENDINGS)): void {
    if (this.on.size === 0) return;
    const { job, nodeId, answered } = this.oneOf([...this.on.values()]);
    this.on.delete(job.id);
    if (!answered) this.policy.notAccepted(nodeId, job, this.nowMs, ending === 'faulted');
    else this.policy.ended(nodeId, job, ending, this.nowMs);
    if (answered && (ending === 'succeeded' || ending === 'failed')) this.left.delete(job.id);
    else this.keep(job);
  }

  private release(): void {
    const windows = new Map(
      KINDS.map((kind) => [JSON.stringify(kind), this.policy.explain(kind, this.nowMs).nodes] as const),
    );
    for (const { job, nodeId, decision } of this.policy.release(this.nowMs)) {
      if (this.rule === 'learned') {
        expect(decision.ahead).toBeLessThan(decision.window);
        expect(windows.get(JSON.stringify(job.containers))?.some((node) => node.nodeId === nodeId)).toBe(
          true,
        );
      }
      this.start(job, nodeId);
    }
  }

  private check(): void {
    expect(this.policy.held).toBe(this.held.size);
    for (const id of Object.keys(CAPS)) {
      const there = [...this.on.values()].filter((one) => one.nodeId === id).length;
      expect(this.policy.outstandingOn(id)).toBe(there);
    }
  }

  private changeNode(id: string, available: boolean): void {
    const containers = new Map(['a', 'b'].map((container) => [container, { external: true }]));
    this.policy.nodeChanged(nodeView(id, { containers, available, maxInFlight: CAPS[id] ?? null }));
  }

  private oneOf<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)] as T;
  }
}

describe.each(['learned', 'least-pending', 'round-robin'] as const)('%s', (rule) => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'keeps the order, the caps and the counts, and starves nobody (seed %i)',
    (seed) => {
      const trial = new Trial(seed, rule);
      for (let i = 0; i < 1_500; i += 1) trial.step();
      trial.drain();
      expect([...trial.left]).toEqual([]);
      expect(trial.policy.held).toBe(0);
      for (const id of Object.keys(CAPS)) expect(trial.policy.outstandingOn(id)).toBe(0);
    },
  );
});
