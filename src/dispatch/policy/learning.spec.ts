import { describe, expect, it } from 'vitest';
import { Breaker } from './ejection.js';
import { worthHolding } from './hold-rule.js';
import { jobNeeds, nodeView, policyWith, TestNodes } from './policy.fixture.js';
import { SlownessEstimate, WorkEstimate } from './service-times.js';
import { SlotLearner } from './slot-learner.js';

/** Sizes that repeat, so that jobs overtake each other without chance in the test. */
const varied = ({ id }: { id: string }): number => [80, 400, 120, 1_500, 60, 240][Number(id) % 6] ?? 100;

describe('slots', () => {
  it.each([1, 2, 4, 8])('are found by overtaking on a node that has %i', (slots) => {
    const policy = policyWith(nodeView('1'));
    const nodes = new TestNodes(policy, { 1: { slots, serviceMs: varied } });
    for (let number = 0; number < 600; number += 1) nodes.submit(jobNeeds(number));
    nodes.drain();
    expect(policy.explain(['a'], nodes.nowMs).nodes[0]?.slots).toBe(slots);
    expect(nodes.done).toHaveLength(600);
  });

  it('are found even where all jobs take the same time, so that none overtakes', () => {
    const policy = policyWith(nodeView('1'));
    const nodes = new TestNodes(policy, { 1: { slots: 4, serviceMs: () => 1_000 } });
    for (let number = 0; number < 600; number += 1) nodes.submit(jobNeeds(number));
    nodes.drain();
    expect(policy.explain(['a'], nodes.nowMs).nodes[0]?.slots).toBe(4);
  });

  it('do not limit jobs that end unseen between two looks at the node, until jobs are seen to wait there', () => {
    const policy = policyWith(nodeView('1'));
    for (let number = 0; number < 5_000; number += 1) policy.hold(jobNeeds(number), 0);
    let nowMs = 0;
    const look = (unseenMs: number): number => {
      const sent = policy.release(nowMs);
      for (const { job } of sent) policy.accepted('1', job, nowMs);
      nowMs += 1_000;
      for (const { job } of sent) policy.ended('1', job, 'succeeded', nowMs, { unseenMs });
      return sent.length;
    };
    const lateSeen = Array.from({ length: 9 }, () => look(1_000));
    expect(lateSeen[0]).toBe(2);
    expect(lateSeen.at(-1)).toBeGreaterThan(200);
    const waiting = Array.from({ length: 12 }, () => look(200));
    expect(waiting.at(-1)).toBeLessThan(50);
  });

  it('grow by no more than one doubling in a generation of jobs', () => {
    const learner = new SlotLearner();
    const success = { position: 64, crowd: 64, count: 64, durationMs: 100, variance: 1 };
    learner.succeeded(success);
    expect(learner.slots).toBe(64);
    learner.succeeded({ ...success, position: 128, count: 128 });
    expect(learner.slots).toBe(64);
  });

  it('are cut to the capacity of a processor that is shared', () => {
    const learner = new SlotLearner();
    for (let generation = 0; generation < 12; generation += 1) {
      for (let crowd = 1; crowd <= 32; crowd += 1) {
        const durationMs = 100 * Math.max(1, crowd / 4);
        learner.succeeded({ position: crowd, crowd, count: crowd, durationMs, variance: 0.2 });
      }
    }
    expect(learner.sharing).toBe(true);
    expect(learner.slots).toBeGreaterThanOrEqual(3);
    expect(learner.slots).toBeLessThanOrEqual(6);
  });
});

describe('service times', () => {
  it('tell work from slowness', () => {
    const work = new WorkEstimate();
    const fast = new SlownessEstimate();
    const slow = new SlownessEstimate();
    for (let i = 0; i < 300; i += 1) {
      const sizeMs = varied({ id: String(i) });
      for (const [slowness, factor] of [
        [fast, 1],
        [slow, 4],
      ] as const) {
        slowness.learn(sizeMs * factor, i * 100, work);
        work.learn(sizeMs * factor, slowness.unshrunk(i * 100, work));
      }
    }
    expect(slow.at(30_000, work) / fast.at(30_000, work)).toBeCloseTo(4, 0);
  });

  it('do not let one unlucky sample condemn a node', () => {
    const work = new WorkEstimate();
    for (let i = 0; i < 100; i += 1) work.learn(varied({ id: String(i) }), 1);
    const node = new SlownessEstimate();
    node.learn(60_000, 0, work);
    expect(node.at(0, work)).toBeLessThan(12);
  });

  it('forget with time, so that a node is tried again', () => {
    const work = new WorkEstimate();
    const node = new SlownessEstimate();
    work.learn(100, 1);
    for (let i = 0; i < 20; i += 1) node.learn(1_000, 0, work);
    expect(node.at(0, work)).toBeGreaterThan(4);
    expect(node.at(1_200_000, work)).toBeLessThan(1.1);
  });

  it('notice a change of pace after a dozen jobs', () => {
    const work = new WorkEstimate();
    const node = new SlownessEstimate();
    for (let i = 0; i < 300; i += 1) {
      const sizeMs = varied({ id: String(i) });
      node.learn(sizeMs, i, work);
      work.learn(sizeMs, node.unshrunk(i, work));
    }
    let jobs = 0;
    while (!node.learn(varied({ id: String(jobs) }) * 10, 400 + jobs, work) && jobs < 100) jobs += 1;
    expect(jobs).toBeLessThan(20);
    expect(node.at(500, work)).toBeGreaterThan(4);
  });
});

describe('holding', () => {
  it('waits for fast nodes while few wait, and uses slow ones when many do', () => {
    const fast = { slots: 2, rate: 2 / 100 };
    expect(worthHolding(2_000, 1, fast.slots, fast.rate)).toBe(true);
    expect(worthHolding(2_000, 50, fast.slots, fast.rate)).toBe(false);
    expect(worthHolding(100, 1, 0, 0)).toBe(false);
  });
});

describe('ejection', () => {
  it('pauses shortly after one failure and ejects after three, for longer each time', () => {
    const breaker = new Breaker();
    expect(breaker.failed(0)).toBe(false);
    expect(breaker.state(499, false)).toBe('ejected');
    expect(breaker.state(500, false)).toBe('open');
    breaker.failed(1_000);
    expect(breaker.failed(10_000)).toBe(true);
    expect(breaker.state(39_999, false)).toBe('ejected');
    expect(breaker.state(40_000, false)).toBe('trial');
    breaker.tried();
    expect(breaker.state(40_000, false)).toBe('tried');
    breaker.failed(41_000);
    expect(breaker.state(41_000 + 59_999, false)).toBe('ejected');
    expect(breaker.state(41_000 + 60_000, false)).toBe('trial');
    expect(breaker.worked()).toBe(true);
    expect(breaker.state(101_000, false)).toBe('open');
  });

  it('takes the failures of all jobs of a request for one', () => {
    const breaker = new Breaker();
    const failTogether = (nowMs: number): boolean =>
      [0, 1, 2, 49].map((afterMs) => breaker.failed(nowMs + afterMs)).includes(true);
    expect(failTogether(0)).toBe(false);
    expect(breaker.state(499, false)).toBe('ejected');
    expect(breaker.state(500, false)).toBe('open');
    expect(failTogether(1_000)).toBe(false);
    expect(breaker.state(2_000, false)).toBe('open');
    expect(failTogether(10_000)).toBe(true);
    expect(breaker.state(39_999, false)).toBe('ejected');
    expect(breaker.state(40_000, false)).toBe('trial');
  });

  it('counts a failure right after what worked', () => {
    const breaker = new Breaker();
    breaker.failed(0);
    breaker.worked();
    breaker.failed(1);
    expect(breaker.state(2, false)).toBe('ejected');
  });

  it('ignores ejection in panic, but not the pause', () => {
    const breaker = new Breaker();
    for (const atMs of [0, 10_000, 20_000]) breaker.failed(atMs);
    expect(breaker.state(20_001, true)).toBe('ejected');
    expect(breaker.state(25_000, true)).toBe('open');
    expect(breaker.state(25_000, false)).toBe('ejected');
  });
});
