import { Policy } from '../../src/dispatch/policy/policy.js';
import { OFFERS } from './gateway.js';
import { Random } from './random.js';

const NODES = 1_000;
const HELD = 10_000;
const WARM_UP = 30_000;
const MEASURED = 30_000;
const CONTAINERS = ['work'];

/**
 * How long one decision takes with a thousand nodes and ten thousand jobs held: a job ends, what that tells is
 * learned, and the next one is released. @returns median and 99th percentile, in µs
 */
export function decisionCost(seed: number): { medianUs: number; p99Us: number } {
  const random = new Random(seed);
  const policy = new Policy({ maxUnanswered: Infinity });
  for (let node = 0; node < NODES; node += 1) {
    policy.nodeChanged({ id: `n${node}`, containers: OFFERS, available: true, weight: 1, maxInFlight: null });
  }
  let arrived = 0;
  const arrive = (nowMs: number): void => {
    arrived += 1;
    policy.hold({ id: String(arrived).padStart(9, '0'), containers: CONTAINERS }, nowMs);
  };
  for (let job = 0; job < HELD; job += 1) arrive(0);
  /** What runs where; which ends next is drawn, as all jobs are exponential. */
  const running: { id: string; nodeId: string }[] = [];
  const release = (nowMs: number): void => {
    for (const { job, nodeId } of policy.release(nowMs)) {
      policy.accepted(nodeId, job, nowMs);
      running.push({ id: job.id, nodeId });
    }
  };
  release(0);
  const costs = new Float64Array(MEASURED);
  let nowMs = 0;
  for (let step = 0; step < WARM_UP + MEASURED; step += 1) {
    nowMs += (1_000 * random.exponential()) / running.length;
    const index = random.below(running.length);
    const ended = running[index] as { id: string; nodeId: string };
    running[index] = running.at(-1) as { id: string; nodeId: string };
    running.pop();
    const before = process.hrtime.bigint();
    policy.ended(ended.nodeId, { id: ended.id, containers: CONTAINERS }, 'succeeded', nowMs);
    release(nowMs);
    const spent = Number(process.hrtime.bigint() - before) / 1_000;
    if (step >= WARM_UP) costs[step - WARM_UP] = spent;
    while (policy.held < HELD) arrive(nowMs);
  }
  costs.sort();
  return { medianUs: costs[MEASURED / 2] as number, p99Us: costs[Math.floor(MEASURED * 0.99)] as number };
}
