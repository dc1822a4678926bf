import { describe, expect, it } from 'vitest';
import { parseJobRequest } from '../protocol/job-request.js';
import { parseSubmission } from '../protocol/submission.js';
import { aSubscription, jobRequestSchema, submissionSchema } from './job-calls.js';

/**
 * Jobs are read as raw JSON, for the sake of their bytes, and documented by schemas: here both see the same bodies,
 * valid ones changed at random, and have to agree on each.
 */

const VALID = [
  { containers: ['echo'], data: { hello: 'world' }, requires_proof: true },
  { containers: ['a', 'b'], data: {}, requires_proof: null, id: 'x' },
  aSubscription,
  {
    ...aSubscription,
    subscription: {
      owner: `0x${'1A'.repeat(20)}`,
      active_at: 0,
      period: 1,
      frequency: 1,
      redundancy: 65_535,
      container_id: 'a,b',
      max_gas_price: 2 ** 48 - 1,
      max_gas_limit: 5,
      inputs: '',
    },
  },
];

const ODD = [
  null,
  true,
  0,
  -1,
  0.5,
  256,
  65_536,
  2 ** 32,
  2 ** 48,
  '',
  'a',
  ',',
  'a,',
  `0x${'0'.repeat(40)}`,
  '0'.repeat(64),
  `0x${'f'.repeat(64)}`,
  [],
  ['a'],
  [1],
  [null],
  {},
  { a: 1 },
];

function seeded(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >> 8) % bound;
  };
}

/** One member, at some depth, becomes something else, goes away, or comes in. */
function changed(value: unknown, random: (bound: number) => number): unknown {
  const odd = ODD[random(ODD.length)];
  if (typeof value !== 'object' || value === null || random(4) === 0) return odd;
  if (Array.isArray(value)) return [...(value as unknown[]), odd];
  const members = { ...(value as Record<string, unknown>) };
  const names = [...Object.keys(members), 'containers', 'subscription', 'other'];
  const name = names[random(names.length)] as string;
  if (random(4) === 0) delete members[name];
  else members[name] = changed(members[name], random);
  return members;
}

describe.each([
  ['a submission', submissionSchema, parseSubmission],
  ['a job to stream', jobRequestSchema, parseJobRequest],
] as const)('%s', (_, schema, parse) => {
  it('is read if and only if its schema says so', () => {
    const random = seeded(7);
    const verdicts = { true: 0, false: 0 };
    for (let round = 0; round < 20_000; round += 1) {
      let body: unknown = VALID[random(VALID.length)];
      for (let edits = random(3); edits > 0; edits -= 1) body = changed(body, random);
      const text = JSON.stringify(body);
      let reason = '';
      try {
        parse(Buffer.from(text));
      } catch (error) {
        reason = (error as Error).message;
      }
      expect(schema.safeParse(body).success, `${text}: ${reason}`).toBe(reason === '');
      verdicts[reason === '' ? 'true' : 'false'] += 1;
    }
    for (const count of Object.values(verdicts)) expect(count).toBeGreaterThan(2_000);
  });
});
