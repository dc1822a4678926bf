import { describe, expect, it } from 'vitest';
import { FAILURES_EJECT } from './ejection.js';
import { kindKey } from './kind.js';
import { jobNeeds, nodeView, policyWith, TestNodes } from './policy.fixture.js';
import { Policy } from './policy.js';

describe('what a node must offer', () => {
  it('is every container of the job, the first of them an external one', () => {
    const inner = new Map([
      ['a', { external: false }],
      ['b', { external: true }],
    ]);
    const policy = policyWith(nodeView('1', { containers: inner }));
    expect(policy.place(jobNeeds(1), 0)).toBeUndefined();
    expect(policy.place(jobNeeds(2, { containers: ['b', 'c'] }), 0)).toBeUndefined();
    expect(policy.place(jobNeeds(3, { containers: ['b', 'a'] }), 0)?.nodeId).toBe('1');
  });

  it('takes no part while it drains or is down, and none after it left', () => {
    const policy = policyWith(nodeView('1', { available: false }));
    policy.hold(jobNeeds(1), 0);
    expect(policy.release(0)).toEqual([]);
    policy.nodeChanged(nodeView('1'));
    expect(policy.release(0)).toHaveLength(1);
    policy.nodeLeft('1');
    policy.hold(jobNeeds(2), 0);
    expect(policy.release(0)).toEqual([]);
  });

  it('is offered to jobs that waited for it as it joins', () => {
    const policy = policyWith();
    policy.hold(jobNeeds(1), 0);
    policy.nodeChanged(nodeView('1'));
    expect(policy.release(0).map(({ nodeId }) => nodeId)).toEqual(['1']);
  });
});

describe('limits', () => {
  it('never exceeds what an operator allows, though more are known to fit', () => {
    const policy = policyWith(nodeView('1', { maxInFlight: 1 }));
    expect(policy.place(jobNeeds(1), 0)).toBeDefined();
    expect(policy.place(jobNeeds(2), 0)).toBeUndefined();
  });

  it('leaves no more submissions open than allowed', () => {
    const policy = new Policy({ maxUnanswered: 1 });
    policy.nodeChanged(nodeView('1'));
    expect(policy.place(jobNeeds(1), 0)).toBeDefined();
    expect(policy.place(jobNeeds(2), 0)).toBeUndefined();
    policy.accepted('1', jobNeeds(1), 0);
    expect(policy.place(jobNeeds(2), 0)).toBeDefined();
  });

  it('waits for the rate limit and says when it is over', () => {
    const policy = policyWith(nodeView('1'));
    policy.budget('1', 500);
    policy.hold(jobNeeds(1), 0);
    expect(policy.release(0)).toEqual([]);
    expect(policy.nextChangeAt(0)).toBe(500);
    expect(policy.release(500)).toHaveLength(1);
  });

  it('leaves a node alone that asked for it', () => {
    const policy = policyWith(nodeView('1'));
    policy.paused('1', 1_000);
    policy.hold(jobNeeds(1), 0);
    expect(policy.release(999)).toEqual([]);
    expect(policy.release(1_000)).toHaveLength(1);
  });

  it('allows for jobs that end unseen between two looks', () => {
    const policy = policyWith(nodeView('1'));
    const window = (): number => policy.explain(['a'], 0).nodes[0]?.window ?? 0;
    const before = window();
    policy.place(jobNeeds(1), 0);
    policy.accepted('1', jobNeeds(1), 0);
    policy.ended('1', jobNeeds(1), 'failed', 0, { unseenMs: 8_000 });
    expect(window()).toBeGreaterThan(before);
  });
});

describe('urgent jobs', () => {
  it('go before older ones that are not', () => {
    const policy = policyWith(nodeView('1', { maxInFlight: 1 }));
    policy.place(jobNeeds(0), 0);
    policy.hold(jobNeeds(1), 0);
    expect(policy.place(jobNeeds(2, { urgent: true }), 0)).toBeUndefined();
    policy.hold(jobNeeds(2, { urgent: true }), 0);
    policy.ended('1', jobNeeds(0), 'failed', 0);
    expect(policy.release(0).map(({ job }) => job.id)).toEqual([jobNeeds(2).id]);
  });

  it("spend their callers' budget on the node, not the gateway's", () => {
    const policy = policyWith(nodeView('1'));
    policy.budget('1', 500);
    policy.paused('1', 500);
    expect(policy.place(jobNeeds(1), 0)).toBeUndefined();
    expect(policy.place(jobNeeds(2, { urgent: true }), 0)?.nodeId).toBe('1');
  });
});

describe('jobs that a node has failed', () => {
  it('wait for another node as long as there is one that may take them', () => {
    const policy = policyWith(nodeView('1'), nodeView('2', { maxInFlight: 1 }));
    policy.place(jobNeeds(0), 0, new Set(['1']));
    const failed = jobNeeds(1, { shun: ['1'] });
    expect(policy.place(failed, 0)).toBeUndefined();
    policy.hold(failed, 0);
    expect(policy.release(0)).toEqual([]);
    policy.nodeChanged(nodeView('2', { available: false }));
    expect(policy.release(0).map(({ nodeId }) => nodeId)).toEqual(['1']);
  });
});

describe('jobs that are held already', () => {
  it('stay away from nodes that whoever adds them again does not know of', () => {
    const policy = policyWith(nodeView('1'));
    policy.hold(jobNeeds(1, { avoid: ['1'] }), 0);
    policy.hold(jobNeeds(1, { avoid: ['2'], shun: ['1'] }), 0);
    expect(policy.held).toBe(1);
    expect(policy.release(0)).toEqual([]);
    policy.nodeChanged(nodeView('2'));
    expect(policy.release(0)).toEqual([]);
    policy.nodeChanged(nodeView('3'));
    expect(policy.release(0).map(({ nodeId }) => nodeId)).toEqual(['3']);
  });
});

describe('choice', () => {
  it('spreads over nodes of which nothing is known, those without work of others first', () => {
    const policy = policyWith(nodeView('1'), nodeView('2'), nodeView('3'));
    policy.pendingSeen('1', 5);
    const chosen = [1, 2].map((number) => policy.place(jobNeeds(number), 0)?.nodeId);
    expect(new Set(chosen)).toEqual(new Set(['2', '3']));
  });

  it('counts pending work that is not ours as foreign', () => {
    const policy = policyWith(nodeView('1'));
    policy.place(jobNeeds(1), 0);
    policy.pendingSeen('1', 3);
    expect(policy.foreignOn('1')).toBe(2);
  });

  it('prefers a node of more weight', () => {
    const policy = policyWith(nodeView('1'), nodeView('2', { weight: 3 }));
    expect(policy.place(jobNeeds(1), 0)?.nodeId).toBe('2');
  });

  it('does not offer a job to nodes that it has to avoid', () => {
    const policy = policyWith(nodeView('1'));
    expect(policy.place(jobNeeds(1, { avoid: ['1'] }), 0)).toBeUndefined();
    expect(policy.place(jobNeeds(1), 0, new Set(['1']))).toBeUndefined();
  });

  it('does not make a job wait for a slot that has been on its way already', () => {
    const policy = policyWith(nodeView('1'));
    for (let number = 1; policy.place(jobNeeds(number), 0) !== undefined; number += 1);
    expect(policy.place(jobNeeds(90), 0, new Set(['2']))?.decision.why).toBe('retry');
  });

  it('learns which node is faster, uses it first, and holds a job for it', () => {
    const policy = policyWith(nodeView('fast'), nodeView('slow'));
    const nodes = new TestNodes(policy, {
      fast: { slots: 1, serviceMs: () => 100 },
      slow: { slots: 1, serviceMs: () => 5_000 },
    });
    for (let number = 0; number < 60; number += 1) nodes.submit(jobNeeds(number));
    nodes.drain();
    const [fast, slow] = policy.explain(['a'], nodes.nowMs).nodes;
    expect(slow?.serviceMs).toBeGreaterThan(5 * (fast?.serviceMs ?? Infinity));
    const first = policy.place(jobNeeds(100), nodes.nowMs);
    expect(first?.nodeId).toBe('fast');
    expect(policy.place(jobNeeds(101), nodes.nowMs)).toBeUndefined();
  });
});

describe('failures', () => {
  it('ejects a node that fails again and again, tries it with one job, and lets it in again', () => {
    const policy = policyWith(nodeView('bad'), nodeView('good'), nodeView('fine'));
    let nowMs = 0;
    for (let i = 0; i < FAILURES_EJECT; i += 1) policy.faulted('bad', (nowMs += 60_000));
    policy.nodeChanged(nodeView('good', { available: false }));
    policy.nodeChanged(nodeView('fine', { maxInFlight: 0 }));
    expect(policy.place(jobNeeds(1), nowMs)).toBeUndefined();
    expect(policy.explain(['a'], nowMs).nodes[0]?.notEligible).toMatch(/ejected/);
    nowMs += 300_000;
    expect(policy.place(jobNeeds(2), nowMs)?.nodeId).toBe('bad');
    expect(policy.place(jobNeeds(3), nowMs)).toBeUndefined();
    policy.accepted('bad', jobNeeds(2), nowMs);
    expect(policy.place(jobNeeds(3), nowMs)?.nodeId).toBe('bad');
  });

  it('uses ejected nodes when most are ejected', () => {
    const policy = policyWith(nodeView('1'));
    for (let i = 1; i <= FAILURES_EJECT; i += 1) policy.faulted('1', i * 60_000);
    policy.hold(jobNeeds(1), FAILURES_EJECT * 60_000);
    const wakeAtMs = policy.nextChangeAt(FAILURES_EJECT * 60_000) ?? 0;
    expect(wakeAtMs).toBeLessThan(FAILURES_EJECT * 60_000 + 5_000);
    expect(policy.release(wakeAtMs)).toHaveLength(1);
  });

  it('closes a node for those containers alone that fail there', () => {
    const offers = new Map(['a', 'b'].map((id) => [id, { external: true }]));
    const views = ['1', '2', '3'].map((id) => nodeView(id, { containers: offers }));
    const policy = policyWith(...views);
    for (let number = 0; number < 30; number += 1) {
      const placement = policy.place(jobNeeds(number), number);
      if (placement === undefined) continue;
      policy.accepted(placement.nodeId, jobNeeds(number), number);
      const ending = placement.nodeId === '1' ? 'faulted' : 'succeeded';
      policy.ended(placement.nodeId, jobNeeds(number), ending, number);
    }
    expect(policy.explain(['a'], 30).nodes[0]?.notEligible).toMatch(/containers failed there/);
    expect(policy.explain(['b'], 30).nodes[0]?.notEligible).toBeUndefined();
  });

  it('does not close a node for failures of the containers themselves', () => {
    const policy = policyWith(nodeView('1'));
    for (let number = 0; number < 10; number += 1) {
      policy.place(jobNeeds(number), 0);
      policy.accepted('1', jobNeeds(number), 0);
      policy.ended('1', jobNeeds(number), 'failed', 0);
    }
    expect(policy.place(jobNeeds(99), 0)).toBeDefined();
  });
});

describe('rescue', () => {
  it('names the jobs of a node that stands still, once, and sends nothing more there', () => {
    const policy = policyWith(nodeView('1'), nodeView('2'));
    let number = 0;
    let nowMs = 0;
    for (; number < 40; number += 1) {
      const placement = policy.place(jobNeeds(number), nowMs);
      policy.accepted(placement?.nodeId ?? '', jobNeeds(number), nowMs);
      nowMs += 10;
      policy.ended(placement?.nodeId ?? '', jobNeeds(number), 'succeeded', nowMs);
    }
    const hung = policy.place(jobNeeds(number), nowMs)?.nodeId ?? '';
    policy.accepted(hung, jobNeeds(number), nowMs);
    expect(policy.rescue(nowMs + 4_000)).toEqual([]);
    expect(policy.rescue(nowMs + 6_000)).toEqual([
      { jobId: jobNeeds(number).id, nodeId: hung, containers: ['a'] },
    ]);
    expect(policy.rescue(nowMs + 7_000)).toEqual([]);
    expect(policy.place(jobNeeds(90), nowMs + 7_000)?.nodeId).not.toBe(hung);
    policy.ended(hung, jobNeeds(number), 'succeeded', nowMs + 8_000);
    expect(policy.explain(['a'], nowMs + 8_000).nodes.every((node) => node.notEligible === undefined)).toBe(
      true,
    );
  });
});

describe('other replicas', () => {
  it('never sends to their nodes, and leaves a job to a much better one', () => {
    const policy = policyWith(nodeView('mine'), nodeView('theirs', { available: false, elsewhere: true }));
    policy.place(jobNeeds(1), 0);
    policy.accepted('mine', jobNeeds(1), 0);
    policy.ended('mine', jobNeeds(1), 'succeeded', 1_000);
    const kinds = { [kindKey(['a'])]: { slots: 1, free: 1, serviceMs: 50 } };
    policy.summarySeen('theirs', { kinds }, 1_000);
    expect(policy.place(jobNeeds(2), 1_000)).toBeUndefined();
    policy.summarySeen(
      'theirs',
      { kinds: { [kindKey(['a'])]: { slots: 1, free: 0, serviceMs: 5_000 } } },
      1_000,
    );
    expect(policy.place(jobNeeds(2), 1_000)?.nodeId).toBe('mine');
  });

  it('tells them of its own', () => {
    const policy = policyWith(nodeView('1'));
    policy.place(jobNeeds(1), 0);
    policy.accepted('1', jobNeeds(1), 0);
    policy.ended('1', jobNeeds(1), 'succeeded', 300);
    expect(policy.summaryOf('1', 300).kinds[kindKey(['a'])]).toMatchObject({
      slots: 1,
      free: 2,
      serviceMs: 300,
    });
  });

  describe('of a job that failed on the node here', () => {
    const nowMs = 60_000;
    /** The replica that works with the other node; such jobs have run there. */
    const theirs = (): Policy => {
      const policy = policyWith(nodeView('2'));
      for (let number = 100; number < 140; number += 1) {
        policy.place(jobNeeds(number), 0);
        policy.accepted('2', jobNeeds(number), 0);
        policy.ended('2', jobNeeds(number), 'succeeded', 300);
      }
      return policy;
    };
    /** Where the job goes here, once the other replica has told how its node fares. */
    const goesTo = (other: Policy): string | undefined => {
      const policy = policyWith(nodeView('1'), nodeView('2', { available: false, elsewhere: true }));
      policy.summarySeen('2', other.summaryOf('2', nowMs), nowMs);
      return policy.place(jobNeeds(2, { shun: ['1'] }), nowMs)?.nodeId;
    };

    it.each<[string, (other: Policy) => void]>([
      ['takes jobs', () => undefined],
      [
        'is full',
        (other) => {
          for (let number = 10; other.place(jobNeeds(number), nowMs) !== undefined; number += 1);
        },
      ],
      ['waits for its rate limit', (other) => other.budget('2', nowMs + 1_000)],
    ])('waits for one of theirs that %s', (_how, happens) => {
      const other = theirs();
      happens(other);
      expect(goesTo(other)).toBeUndefined();
    });

    it.each<[string, (other: Policy) => void]>([
      ['drains or is down', (other) => other.nodeChanged(nodeView('2', { available: false }))],
      ['may have no jobs', (other) => other.nodeChanged(nodeView('2', { maxInFlight: 0 }))],
      [
        'is ejected',
        (other) => {
          for (let i = 1; i <= FAILURES_EJECT; i += 1) other.faulted('2', i * 10_000);
        },
      ],
      [
        'is closed to its containers',
        (other) => {
          for (let i = 1; i <= FAILURES_EJECT; i += 1) {
            other.adopted('2', jobNeeds(i), i * 10_000);
            other.ended('2', jobNeeds(i), 'faulted', i * 10_000);
          }
        },
      ],
      [
        'stands still',
        (other) => {
          for (const number of [10, 11]) other.adopted('2', jobNeeds(number), 300);
          expect(other.rescue(nowMs)).not.toEqual([]);
        },
      ],
    ])('does not wait for one of theirs that %s', (_how, happens) => {
      const other = theirs();
      happens(other);
      expect(goesTo(other)).toBe('1');
    });
  });
});

describe('taking over', () => {
  it('counts what it finds on a node, and forgets it with the lane', () => {
    const policy = policyWith(nodeView('1'));
    policy.adopted('1', jobNeeds(1), 0);
    expect(policy.outstandingOn('1')).toBe(1);
    policy.laneReset('1');
    expect(policy.outstandingOn('1')).toBe(0);
    policy.ended('1', jobNeeds(1), 'succeeded', 0);
    expect(policy.outstandingOn('1')).toBe(0);
  });

  it('tries failed containers with another job when the one on trial there went with the lane', () => {
    const policy = policyWith(nodeView('1'), nodeView('2', { maxInFlight: 0 }));
    const failAt = (number: number, nowMs: number): void => {
      policy.place(jobNeeds(number), nowMs);
      policy.accepted('1', jobNeeds(number), nowMs);
      policy.ended('1', jobNeeds(number), 'faulted', nowMs);
    };
    for (let i = 1; i <= FAILURES_EJECT; i += 1) failAt(i, i * 20_000);
    const nowMs = 200_000;
    expect(policy.place(jobNeeds(8), nowMs)?.nodeId).toBe('1');
    expect(policy.place(jobNeeds(9), nowMs)).toBeUndefined();
    policy.laneReset('1');
    expect(policy.place(jobNeeds(9), nowMs)?.nodeId).toBe('1');
    expect(policy.place(jobNeeds(10), nowMs)).toBeUndefined();
  });

  it('goes on with what an earlier run learned', () => {
    const earlier = policyWith(nodeView('1'), nodeView('2'));
    const nodes = new TestNodes(earlier, {
      1: { slots: 4, serviceMs: ({ id }) => 100 + (Number(id) % 7) * 60 },
      2: { slots: 1, serviceMs: () => 2_000 },
    });
    for (let number = 0; number < 300; number += 1) nodes.submit(jobNeeds(number));
    nodes.drain();
    const later = new Policy();
    for (const id of ['1', '2']) {
      const saved = JSON.parse(JSON.stringify(earlier.export(id))) as ReturnType<Policy['export']>;
      later.nodeChanged(nodeView(id));
      later.restore(id, saved, 0);
    }
    const before = earlier.explain(['a'], nodes.nowMs).nodes;
    const after = later.explain(['a'], 0).nodes;
    expect(after.map(({ slots }) => slots)).toEqual(before.map(({ slots }) => slots));
    expect(after[1]?.serviceMs).toBeGreaterThan(4 * (after[0]?.serviceMs ?? Infinity));
    expect(later.export('2').kinds).toHaveLength(1);
  });
});

describe('explain', () => {
  it('changes nothing', () => {
    for (const rule of ['learned', 'least-pending', 'round-robin'] as const) {
      const policy = new Policy({ rule });
      for (const id of ['1', '2']) policy.nodeChanged(nodeView(id));
      const choices = [1, 2, 3].map(() => policy.explain(['a'], 0).choice);
      expect(new Set(choices).size).toBe(1);
      expect(policy.place(jobNeeds(1), 0)?.nodeId).toBe(choices[0]);
    }
  });

  it('says why a node cannot have a job', () => {
    const views = [nodeView('1', { containers: new Map() }), nodeView('2', { available: false })];
    const policy = policyWith(
      ...views,
      nodeView('3', { available: false, elsewhere: true }),
      nodeView('4', { maxInFlight: 0 }),
    );
    const reasons = policy.explain(['a'], 0).nodes.map(({ notEligible }) => notEligible);
    expect(reasons).toEqual([
      'it does not run these containers',
      'it takes no jobs now',
      'another replica decides about it',
      "it is at the operator's maxInFlight",
    ]);
  });
});

describe('the rules that it is compared with', () => {
  it('round robin takes turns', () => {
    const policy = new Policy({ rule: 'round-robin' });
    for (const id of ['1', '2', '3']) policy.nodeChanged(nodeView(id));
    const chosen = [1, 2, 3, 4, 5, 6].map((number) => policy.place(jobNeeds(number), 0)?.nodeId);
    expect(new Set(chosen.slice(0, 3)).size).toBe(3);
    expect(chosen.slice(3)).toEqual(chosen.slice(0, 3));
  });

  it('least pending evens out what is there, by weight and with the work of others', () => {
    const policy = new Policy({ rule: 'least-pending' });
    for (const id of ['1', '2', '3']) policy.nodeChanged(nodeView(id, { weight: id === '3' ? 2 : 1 }));
    policy.pendingSeen('1', 4);
    for (let number = 0; number < 12; number += 1) policy.place(jobNeeds(number), 0);
    expect(['1', '2', '3'].map((id) => policy.outstandingOn(id))).toEqual([0, 4, 8]);
  });
});
