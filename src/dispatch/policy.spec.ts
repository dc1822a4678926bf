import { describe, expect, it } from 'vitest';
import { MAX_UNANSWERED, Policy, type NodeView } from './policy.js';

let jobs = 0;
const job = (...containers: string[]) => {
  jobs += 1;
  return { id: String(jobs).padStart(10, '0'), containers: containers.length === 0 ? ['a'] : containers };
};

function view(id: string, more: Partial<NodeView> & { offers?: Record<string, boolean> } = {}): NodeView {
  const { offers = { a: true, b: true }, ...rest } = more;
  const containers = new Map(Object.entries(offers).map(([name, external]) => [name, { external }]));
  return { id, containers, available: true, weight: 1, maxInFlight: null, ...rest };
}

function policyOf(...views: NodeView[]): Policy {
  const policy = new Policy();
  for (const each of views) policy.nodeChanged(each);
  return policy;
}

/** Places so many jobs; each submission is answered at once. */
function place(policy: Policy, count: number): (string | undefined)[] {
  return Array.from({ length: count }, () => {
    const node = policy.place(job(), 0);
    if (node !== undefined) policy.accepted(node);
    return node;
  });
}

const tally = (nodes: (string | undefined)[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const node of nodes) counts[node ?? 'none'] = (counts[node ?? 'none'] ?? 0) + 1;
  return counts;
};

describe('least pending', () => {
  it('spreads evenly over equal nodes', () => {
    expect(tally(place(policyOf(view('x'), view('y'), view('z')), 30))).toEqual({ x: 10, y: 10, z: 10 });
  });

  it('goes round among idle nodes instead of choosing the first again and again', () => {
    const policy = policyOf(view('x'), view('y'), view('z'));
    const chosen = Array.from({ length: 6 }, () => {
      const [node] = place(policy, 1) as [string];
      policy.ended(node);
      return node;
    });
    expect(new Set(chosen.slice(0, 3)).size).toBe(3);
    expect(chosen.slice(3)).toEqual(chosen.slice(0, 3));
  });

  it('keeps away from a node on which others have work, until that is made up for', () => {
    const policy = policyOf(view('x'), view('y'));
    policy.pendingSeen('x', 10);
    expect(policy.foreignOn('x')).toBe(10);
    expect(tally(place(policy, 10))).toEqual({ y: 10 });
    expect(tally(place(policy, 10))).toEqual({ x: 5, y: 5 });
  });

  it("does not count the gateway's own jobs twice", () => {
    const policy = policyOf(view('x'), view('y'));
    place(policy, 8);
    policy.pendingSeen('x', 4);
    expect(policy.foreignOn('x')).toBe(0);
    policy.pendingSeen('x', 6);
    expect(policy.foreignOn('x')).toBe(2);
    policy.pendingSeen('x', 1);
    expect(policy.foreignOn('x')).toBe(0);
  });

  it('corrects stale counts by what it has dispatched and seen ended', () => {
    const policy = policyOf(view('x'), view('y'));
    place(policy, 20);
    for (let n = 0; n < 10; n += 1) policy.ended('x');
    expect(policy.outstandingOn('x')).toBe(0);
    expect(tally(place(policy, 10))).toEqual({ x: 10 });
  });

  it('gives a node of weight 3 three times the work', () => {
    expect(tally(place(policyOf(view('x', { weight: 3 }), view('y')), 40))).toEqual({ x: 30, y: 10 });
  });

  it('never counts below nothing', () => {
    const policy = policyOf(view('x'));
    policy.ended('x');
    policy.notAccepted('x', 0, false);
    expect(policy.outstandingOn('x')).toBe(0);
  });
});

describe('eligible nodes', () => {
  it('run all containers, the first one as an external one', () => {
    const policy = policyOf(view('x', { offers: { a: true } }), view('y', { offers: { a: false, b: true } }));
    expect(policy.place(job('a'), 0)).toBe('x');
    expect(policy.place(job('b', 'a'), 0)).toBe('y');
    expect(policy.place(job('a', 'b'), 0)).toBeUndefined();
    expect(policy.place(job('none'), 0)).toBeUndefined();
  });

  it('are below maxInFlight', () => {
    const policy = policyOf(view('x', { maxInFlight: 2 }));
    expect(place(policy, 3)).toEqual(['x', 'x', undefined]);
    policy.ended('x');
    expect(place(policy, 2)).toEqual(['x', undefined]);
  });

  it('have few submissions that they did not answer yet', () => {
    const policy = policyOf(view('x'));
    for (let n = 0; n < MAX_UNANSWERED; n += 1) expect(policy.place(job(), 0)).toBe('x');
    expect(policy.place(job(), 0)).toBeUndefined();
    policy.accepted('x');
    expect(policy.place(job(), 0)).toBe('x');
  });

  it('were not tried before', () => {
    const policy = policyOf(view('x'), view('y'));
    const j = job();
    expect(policy.place(j, 0, new Set(['x']))).toBe('y');
    expect(policy.place(j, 0, new Set(['x', 'y']))).toBeUndefined();
  });

  it('have not left', () => {
    const policy = policyOf(view('x'));
    policy.nodeLeft('x');
    expect(policy.place(job(), 0)).toBeUndefined();
  });
});

describe('held jobs', () => {
  it('are released in order of arrival, each kind on its own', () => {
    const policy = policyOf(view('x', { available: false, maxInFlight: 3 }));
    const held = [job('a'), job('b'), job('a'), job('b'), job('a')];
    for (const each of held.toReversed()) policy.hold(each);
    expect(policy.held).toBe(5);
    policy.nodeChanged(view('x', { maxInFlight: 3 }));
    expect(policy.release(0).map(({ job: { id } }) => id)).toEqual(held.slice(0, 3).map(({ id }) => id));
    expect(policy.held).toBe(2);
    policy.ended('x');
    expect(policy.release(0).map(({ job: { id } }) => id)).toEqual([held[3]?.id]);
  });

  it('are not overtaken by a new job of their kind, but by one of another kind', () => {
    const policy = policyOf(view('x', { offers: { b: true } }), view('y', { available: false }));
    policy.hold(job('a'));
    policy.nodeChanged(view('y'));
    expect(policy.place(job('a'), 0)).toBeUndefined();
    expect(policy.place(job('b'), 0)).toBeDefined();
  });

  it('do not wait behind one that no node can take', () => {
    const policy = policyOf(view('x'));
    policy.hold(job('none'));
    const possible = job('a');
    policy.hold(possible);
    expect(policy.release(0).map(({ job: { id } }) => id)).toEqual([possible.id]);
  });

  it('are held once, and can be dropped', () => {
    const policy = policyOf(view('x', { available: false }));
    const [one, two] = [job(), job()];
    for (const each of [one, one, two]) policy.hold(each);
    expect(policy.held).toBe(2);
    policy.forget(one.id);
    policy.forget(one.id);
    expect(policy.held).toBe(1);
    policy.nodeChanged(view('x'));
    expect(policy.release(0)).toMatchObject([{ job: two, nodeId: 'x' }]);
    expect(policy.release(0)).toEqual([]);
  });

  it.each<[string, NodeView, (policy: Policy) => void]>([
    ['a node that comes up', view('x', { available: false }), (policy) => policy.nodeChanged(view('x'))],
    ['a node that joins', view('z', { offers: {} }), (policy) => policy.nodeChanged(view('y'))],
    ['a container that is offered', view('x', { offers: {} }), (policy) => policy.nodeChanged(view('x'))],
    [
      'a higher cap',
      view('x', { maxInFlight: 1 }),
      (policy) => policy.nodeChanged(view('x', { maxInFlight: 2 })),
    ],
    ['a job that ends', view('x', { maxInFlight: 1 }), (policy) => policy.ended('x')],
    ['a submission that fails', view('x', { maxInFlight: 1 }), (policy) => policy.notAccepted('x', 0, false)],
  ])('are released by %s', (_name, before, event) => {
    const policy = policyOf(before);
    if (before.maxInFlight !== null) policy.place(job(), 0);
    policy.hold(job());
    expect(policy.release(0)).toEqual([]);
    event(policy);
    expect(policy.release(0)).toHaveLength(1);
  });

  it('are released at most so many at a time', () => {
    const policy = policyOf(view('x'));
    for (let n = 0; n < 5; n += 1) policy.hold(job());
    expect(policy.release(0, 2)).toHaveLength(2);
    expect(policy.held).toBe(3);
  });
});

describe('a node that faults', () => {
  it('is closed, longer with each failure, and open again after it took a job', () => {
    const policy = policyOf(view('x'));
    policy.hold(job());
    policy.faulted('x', 1_000);
    expect(policy.release(1_499)).toEqual([]);
    expect(policy.nextChangeAt(1_000)).toBe(1_500);
    policy.faulted('x', 1_500);
    expect(policy.nextChangeAt(1_500)).toBe(2_500);
    expect(policy.release(2_500)).toHaveLength(1);
    policy.accepted('x');
    policy.hold(job());
    policy.faulted('x', 3_000);
    expect(policy.nextChangeAt(3_000)).toBe(3_500);
  });

  it('counts failures that come together as one', () => {
    const policy = policyOf(view('x'));
    for (let n = 0; n < 20; n += 1) policy.place(job(), 0);
    for (let n = 0; n < 20; n += 1) policy.notAccepted('x', 100, true);
    policy.hold(job());
    expect(policy.nextChangeAt(100)).toBe(600);
    expect(policy.outstandingOn('x')).toBe(0);
  });

  it('is closed for half a minute at the most', () => {
    const policy = policyOf(view('x'));
    let nowMs = 0;
    policy.hold(job());
    for (let n = 0; n < 20; n += 1) {
      policy.faulted('x', nowMs);
      const next = policy.nextChangeAt(nowMs) as number;
      expect(next - nowMs).toBeLessThanOrEqual(30_000);
      nowMs = next;
    }
  });

  it('is open at once when it comes back up', () => {
    const policy = policyOf(view('x'));
    policy.faulted('x', 0);
    policy.nodeChanged(view('x', { available: false }));
    policy.nodeChanged(view('x'));
    expect(policy.place(job(), 1)).toBe('x');
  });

  it('is not blamed for a pause that it asked for', () => {
    const policy = policyOf(view('x'), view('y'));
    policy.paused('x', 700);
    expect(tally(place(policy, 5))).toEqual({ y: 5 });
    expect(policy.place(job(), 700)).toBe('x');
    expect(policy.nextChangeAt(0)).toBeUndefined();
  });
});

describe('memory', () => {
  it('stays bounded when callers make up chains', () => {
    const policy = policyOf(view('x'));
    for (let n = 0; n < 5_000; n += 1) {
      policy.place(job('a', ...Array.from({ length: (n % 7) + 1 }, () => 'b'), String(n)), 0);
    }
    const { classes } = policy as unknown as { classes: Map<string, unknown> };
    expect(classes.size).toBeLessThanOrEqual(1_000);
  });
});
