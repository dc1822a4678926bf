import { z } from 'zod';
import { apiCall, type AnswerOf } from '../http/api-call.js';
import { storableString } from '../http/api-input.js';
import { NODE_ID } from './node-calls.js';

/**
 * The admin API's calls about jobs: what they take and what they answer.
 */

const states = ['queued', 'sending', 'running', 'retrying', 'succeeded', 'failed', 'cancelled'] as const;

const filter = {
  node: z.uuid().optional().describe('Id of a node that an attempt was made on.'),
  container: storableString.min(1).optional().describe('A container that the job uses.'),
  caller: storableString.min(1).optional(),
};

const jobRow = {
  id: z.string(),
  kind: z.enum(['job', 'stream']),
  caller: z.string(),
  state: z.enum(states),
  containers: z.array(z.string()),
  requiresProof: z.boolean(),
  generation: z.int().describe('Goes up with each retry by an operator.'),
  failures: z.int().describe('Attempts of this generation that failed after they had reached a node.'),
  createdAt: z.date(),
  finishedAt: z.date().nullable(),
  retryAt: z.date().nullable().describe('When a job that is `retrying` goes again.'),
  deadlineAt: z.date().describe('When it is given up.'),
};

const jobRowSchema = z.object(jobRow).meta({ id: 'JobRow' });

const attemptSchema = z
  .object({
    id: z.string(),
    number: z.int(),
    generation: z.int(),
    node: z.object({ id: z.string(), name: z.string().nullable() }),
    nodeJobId: z.string().describe('The id that the node knows the job by.'),
    state: z.enum([
      'sending',
      'running',
      'succeeded',
      'failed',
      'refused',
      'unreachable',
      'lost',
      'superseded',
    ]),
    reason: z.string().nullable(),
    decision: z.unknown().describe('What the choice of the node rested on; null for old attempts.'),
    createdAt: z.date(),
    acceptedAt: z.date().nullable(),
    finishedAt: z.date().nullable(),
  })
  .meta({ id: 'Attempt', description: 'One try of the job on one node.' });

const jobSchema = z
  .object({
    ...jobRow,
    attempts: z.array(attemptSchema),
    results: z
      .array(z.object({ generation: z.int(), bytes: z.int(), preview: z.string() }))
      .describe('The beginning of each result.'),
    timeline: z
      .array(z.object({ at: z.date(), text: z.string() }))
      .describe('What happened, in plain words.'),
  })
  .meta({ id: 'Job' });

export type JobRowView = AnswerOf<typeof jobRowSchema>;
export type JobView = AnswerOf<typeof jobSchema>;

export const JOB_ID = '019b0a01-2d4f-7c55-8a10-6f1b52b3c9d4';

const aJobRow = {
  id: JOB_ID,
  kind: 'job',
  caller: '192.0.2.10',
  state: 'succeeded',
  containers: ['echo'],
  requiresProof: false,
  generation: 1,
  failures: 0,
  createdAt: '2026-11-28T12:01:00.000Z',
  finishedAt: '2026-11-28T12:01:00.230Z',
  retryAt: null,
  deadlineAt: '2026-11-29T12:01:00.000Z',
};

const aJob = {
  ...aJobRow,
  attempts: [
    {
      id: JOB_ID,
      number: 1,
      generation: 1,
      node: { id: NODE_ID, name: 'basement' },
      nodeJobId: JOB_ID,
      state: 'succeeded',
      reason: null,
      decision: {
        why: 'best',
        expectedMs: 215,
        serviceMs: 210,
        ahead: 0,
        slots: 4,
        window: 5,
        foreign: 0,
        waiting: 1,
      },
      createdAt: '2026-11-28T12:01:00.001Z',
      acceptedAt: '2026-11-28T12:01:00.010Z',
      finishedAt: '2026-11-28T12:01:00.230Z',
    },
  ],
  results: [{ generation: 1, bytes: 51, preview: '{"container":"echo","output":{"hello":"world"}}' }],
  timeline: [
    { at: '2026-11-28T12:01:00.000Z', text: 'Accepted from 192.0.2.10' },
    { at: '2026-11-28T12:01:00.010Z', text: 'Attempt 1: basement accepted it' },
    { at: '2026-11-28T12:01:00.230Z', text: 'The job ended: succeeded' },
  ],
};

const one = (description: string) => ({ description, schema: jobSchema, examples: { job: aJob } });

const ofOne = {
  chapter: 'Admin: jobs',
  params: z.strictObject({ id: z.uuid() }),
  parameterExamples: { id: JOB_ID },
} as const;

export const listJobs = apiCall({
  chapter: 'Admin: jobs',
  summary: 'Jobs, newest first',
  query: z.strictObject({
    status: z.enum(states).optional(),
    ...filter,
    cursor: z.uuid().optional().describe('The `cursor` of the page before.'),
    limit: z.coerce.number().int().min(1).max(1_000).default(100),
  }),
  parameterExamples: { status: 'failed', container: 'echo', limit: 50 },
  answers: {
    200: {
      description: 'A page. `cursor` asks for the next one and is null on the last.',
      schema: z.object({ jobs: z.array(jobRowSchema), cursor: z.string().nullable() }),
      examples: { 'the last page': { jobs: [aJobRow], cursor: null } },
    },
  },
  errors: ['DATABASE_UNAVAILABLE'],
});

export const showJob = apiCall({
  ...ofOne,
  summary: 'One job with all that happened to it',
  answers: { 200: one('The job, its attempts, results and timeline.') },
  errors: ['NOT_FOUND', 'DATABASE_UNAVAILABLE'],
});

export const retryJob = apiCall({
  ...ofOne,
  summary: 'Start a failed or cancelled job anew',
  description: 'Its former result stays in the timeline. A stream is not run again: nobody listens any more.',
  answers: { 200: one('It waits for a node.') },
  errors: ['NOT_FOUND', 'JOB_NOT_ENDED', 'DATABASE_UNAVAILABLE'],
});

export const cancelJob = apiCall({
  ...ofOne,
  summary: 'End a job now',
  description: 'A node that has it runs on, and its result is ignored.',
  answers: { 200: one('It has ended.') },
  errors: ['NOT_FOUND', 'JOB_NOT_OPEN', 'DATABASE_UNAVAILABLE'],
});

export const retryFailedJobs = apiCall({
  chapter: 'Admin: jobs',
  summary: 'Start all failed jobs anew that match',
  description: 'Streams are left out.',
  body: z.strictObject(filter).meta({ id: 'JobFilter' }),
  bodyExamples: { all: {}, 'of one container': { container: 'echo' } },
  answers: {
    200: {
      description: 'How many there were.',
      schema: z.object({ retried: z.int() }),
      examples: { some: { retried: 3 } },
    },
  },
  errors: ['DATABASE_UNAVAILABLE'],
});
