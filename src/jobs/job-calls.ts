import { z } from 'zod';
import { apiCall, type ApiAnswer } from '../http/api-call.js';

/**
 * The node API's job calls, docs/protocol.md §1. Requests are read as raw JSON by src/protocol/submission.ts, which
 * keeps the bytes of `data`; a test compares what it accepts with these schemas.
 */

const JOB_ID = '019b0a01-2d4f-7c55-8a10-6f1b52b3c9d4';

/** A job as it is handed in. Further members are dropped. */
export const jobRequestSchema = z
  .object({
    containers: z
      .array(z.string())
      .describe(
        'Ids of containers that a node runs; several form a chain, each taking the output before it.',
      ),
    data: z
      .record(z.string(), z.unknown())
      .describe('Input of the first container; passed on byte for byte.'),
    requires_proof: z.boolean().nullish(),
  })
  .meta({ id: 'JobRequest' });

/** An unsigned whole number of so many bits; one beyond 2**53 is passed on digit for digit. */
const uint = (bits: number) =>
  z
    .number()
    .multipleOf(1)
    .min(0)
    // Of 256 bits the largest that is still below 2**256 when it is written as a decimal.
    .max(2 ** bits - Math.max(1, 2 ** (bits - 53)))
    .meta({ type: 'integer' });

const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/);

const anySubscription = {
  owner: address,
  active_at: uint(32),
  period: uint(32),
  frequency: uint(32),
  redundancy: uint(16).describe('How many nodes may answer each interval.'),
};

const delegated = {
  containers: z.never().optional().describe('With it, it is a job.'),
  signature: z.object({ nonce: uint(32), expiry: uint(32), v: uint(8), r: uint(256), s: uint(256) }),
  data: z.record(z.string(), z.unknown()),
};

/** A delegated subscription as nodes from 1.0.0 on take it; docs/protocol.md §5. */
const delegatedSchema = z
  .object({
    ...delegated,
    subscription: z.object({
      ...anySubscription,
      containers: z
        .string()
        .regex(/^(0[xX])?[0-9a-fA-F]{64}$/)
        .describe('keccak256 of the ABI-encoded container ids, joined by commas.'),
      lazy: z.boolean(),
      verifier: address,
      payment_amount: uint(256),
      payment_token: address,
      wallet: address,
    }),
  })
  .meta({ id: 'DelegatedSubscription' });

/** As nodes before 1.0.0 take it. */
const oldDelegatedSchema = z
  .object({
    ...delegated,
    subscription: z.object({
      ...anySubscription,
      containers: z.never().optional(),
      container_id: z
        .string()
        .regex(/^[^,]+(,[^,]+)*$/)
        .describe('Ids, separated by commas.'),
      max_gas_price: uint(48),
      max_gas_limit: uint(32),
      inputs: z.string(),
    }),
  })
  .meta({ id: 'OldDelegatedSubscription', description: 'The form of nodes before 1.0.0.' });

/** Body of `POST /api/jobs`. */
export const submissionSchema = z.union([jobRequestSchema, delegatedSchema, oldDelegatedSchema]);

const params = z.record(z.string(), z.unknown()).describe('What the error is about.');

/** An error as nodes and the official client word it. */
const refusalSchema = z
  .object({ error: z.string(), params: params.optional() })
  .meta({ id: 'InfernetError' });

const acceptedSchema = z
  .object({ id: z.string().describe('Asks for the result.') })
  .meta({ id: 'AcceptedJob' });

const subscribedSchema = z.strictObject({}).meta({ id: 'Subscribed' });

const resultRowSchema = z
  .object({
    id: z.string(),
    status: z.enum(['running', 'success', 'failed']),
    result: z
      .unknown()
      .describe(
        'Null while it runs; then as the node gave it: `{"container", "output"}`, or `{"container", "error"}`.',
      ),
    intermediate_results: z
      .array(z.unknown())
      .optional()
      .describe('With `intermediate=true`: the outputs inside a chain.'),
  })
  .meta({ id: 'JobResult' });

/** A node's own refusal, which the gateway passes on. */
export const refused: ApiAnswer = {
  description: "Refused, in a node's words: no node would take this job.",
  schema: refusalSchema,
  examples: {
    'no chain': { error: 'Chain not enabled', params: {} },
    expired: { error: 'Signature expired', params: { expiry: 1_764_331_200 } },
    'no containers': { error: 'No containers specified', params: {} },
    'not supported': { error: 'Container not supported', params: { container: 'no-such-container' } },
    'not external': { error: 'First container must be external', params: { first_container: 'inner' } },
    'no proof': { error: 'Container does not generate proof', params: { container: 'echo' } },
    'not allowed': {
      error: 'Container not allowed for address',
      params: { address: '10.0.0.1', container: 'echo' },
    },
  },
};

const aJob = { containers: ['echo'], data: { hello: 'world' } };

/** For examples. */
export const aSubscription = {
  signature: { nonce: 7, expiry: 1_900_000_000, v: 27, r: 1_000_000_007, s: 1_000_000_009 },
  subscription: {
    owner: `0x${'1a'.repeat(20)}`,
    active_at: 1_800_000_000,
    period: 3_600,
    frequency: 24,
    redundancy: 1,
    containers: `0x${'2b'.repeat(32)}`,
    lazy: false,
    verifier: `0x${'00'.repeat(20)}`,
    payment_amount: 0,
    payment_token: `0x${'00'.repeat(20)}`,
    wallet: `0x${'00'.repeat(20)}`,
  },
  data: { model: 'm' },
};

export const submitJob = apiCall({
  chapter: 'Jobs',
  summary: 'Hand in a job or a delegated subscription',
  description:
    'Answered when it is committed; from then on a job ends in a result, whatever fails. A delegated subscription is ' +
    'answered `{}` and offered to nodes that have a chain, where its results go.',
  body: submissionSchema,
  bodyExamples: {
    'one container': aJob,
    'a chain': { containers: ['step-one', 'step-two'], data: { text: 'how do I make pizza?' } },
    'a delegated subscription': aSubscription,
  },
  answers: {
    200: {
      description: 'Accepted.',
      schema: z.union([acceptedSchema, subscribedSchema]),
      examples: { 'a job': { id: JOB_ID }, 'a subscription': {} },
    },
    405: refused,
  },
  errors: ['DATABASE_UNAVAILABLE', 'SHUTTING_DOWN'],
});

export const submitBatch = apiCall({
  chapter: 'Jobs',
  summary: 'Hand in several jobs',
  description: 'Each is accepted or refused on its own. Any content type is taken, as by a node.',
  body: z.array(z.unknown()).describe('Jobs; what is none is refused in its place.'),
  bodyExamples: { 'two jobs': [aJob, { containers: ['no-such-container'], data: {} }], none: [] },
  answers: {
    200: {
      description: 'One answer for each job, in their order.',
      schema: z.array(z.union([acceptedSchema, refusalSchema, subscribedSchema])),
      examples: {
        'one of two': [
          { id: JOB_ID },
          { error: 'Container not supported', params: { container: 'no-such-container' } },
        ],
      },
    },
  },
  errors: ['DATABASE_UNAVAILABLE', 'SHUTTING_DOWN'],
});

export const readJobs = apiCall({
  chapter: 'Jobs',
  summary: 'Results of jobs, or the ids of all your jobs',
  description:
    'With `id`: rows of those jobs that are yours, finished ones first, then running ones, each in the order of the ' +
    'request. Without: ids.',
  query: z.object({
    id: z.array(z.string()).optional().describe('Repeated for several jobs.'),
    intermediate: z.string().optional().describe('`true` adds the outputs inside chains.'),
    pending: z
      .string()
      .optional()
      .describe('Without `id`: `true` only unfinished, `false` only finished jobs.'),
  }),
  parameterExamples: { id: [JOB_ID], intermediate: 'true', pending: 'false' },
  headers: {
    Prefer:
      '`wait=4` waits up to 4 s for the first of these jobs to end (RFC 7240; the most is `MAX_WAIT_SECONDS`).',
  },
  answers: {
    200: {
      description: 'Rows, or ids.',
      schema: z.union([z.array(resultRowSchema), z.array(z.string())]),
      headers: { 'Preference-Applied': 'The wait that was granted.' },
      examples: {
        finished: [
          { id: JOB_ID, result: { container: 'echo', output: { hello: 'world' } }, status: 'success' },
        ],
        failed: [{ id: JOB_ID, result: { container: 'echo', error: 'out of memory' }, status: 'failed' }],
        running: [{ id: JOB_ID, result: null, status: 'running' }],
        ids: [JOB_ID],
      },
    },
  },
  errors: ['MALFORMED_REQUEST', 'DATABASE_UNAVAILABLE'],
});
