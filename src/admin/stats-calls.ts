import { z } from 'zod';
import { apiCall, type AnswerOf } from '../http/api-call.js';

/** The admin API's calls about what happens in the whole installation. */

const quantiles = z.object({ p50: z.number().nullable(), p99: z.number().nullable() });

const periodSchema = z
  .object({
    arrived: z.int(),
    succeeded: z.int(),
    failed: z.int(),
    cancelled: z.int(),
    waitMs: quantiles.describe(
      'From arrival to the first attempt, of the jobs that ended; null when none did.',
    ),
    serviceMs: quantiles.describe("From a node's acceptance to the end, of the jobs that ended on one."),
  })
  .meta({ id: 'Period', description: 'What happened to jobs in a stretch of time.' });

const counts = z.array(z.int().nullable());
const durations = z.array(z.number().nullable());

const historySchema = z
  .object({
    stepSeconds: z.number(),
    at: z.array(z.number()).describe('When each span began, in seconds since 1970.'),
    arrived: counts,
    succeeded: counts,
    failed: counts,
    cancelled: counts,
    waiting: counts.describe('Jobs that waited for a node at its end.'),
    running: counts.describe('Jobs that were on a node, or on the way to one, at its end.'),
    waitP50Ms: durations,
    waitP99Ms: durations,
    serviceP50Ms: durations,
    serviceP99Ms: durations,
  })
  .meta({
    id: 'History',
    description: 'One span after the other as columns of equal length; null where nothing is known.',
  });

const totals = {
  at: z.date().nullable().describe('When the figures were taken, by the clock of the database.'),
  error: z.string().nullable().describe('Why newer ones could not be had.'),
  jobs: z
    .object({ queued: z.int(), sending: z.int(), running: z.int(), retrying: z.int() })
    .describe('Unfinished jobs by state.'),
  nodes: z.object({
    total: z.int(),
    up: z.int(),
    down: z.int(),
    unknown: z.int(),
    draining: z.int().describe('Of all, those that drain or are being removed.'),
  }),
  lastMinute: periodSchema,
};

const totalsSchema = z.object(totals);

/** What `GET /admin/stats` answers. */
export const statsSchema = z
  .object({ ...totals, lastHour: periodSchema, lastDay: periodSchema, history: historySchema })
  .meta({ id: 'Stats' });

export type Period = AnswerOf<typeof periodSchema>;
export type HistoryColumns = AnswerOf<typeof historySchema>;
export type Totals = AnswerOf<typeof totalsSchema>;

const aPeriod = {
  arrived: 130,
  succeeded: 118,
  failed: 2,
  cancelled: 0,
  waitMs: { p50: 1, p99: 790 },
  serviceMs: { p50: 215, p99: 1_933 },
};

export const showStats = apiCall({
  chapter: 'Operations',
  summary: 'Figures on the whole installation',
  description: 'The same from every replica. Quantiles are counted in bins and are within 4.5 %.',
  query: z.strictObject({
    history: z
      .enum(['10m', '24h'])
      .default('10m')
      .describe('The last ten minutes in steps of 2 s, or the last day in steps of a minute.'),
  }),
  parameterExamples: { history: '10m' },
  answers: {
    200: {
      description: 'What waits and runs, and what happened.',
      schema: statsSchema,
      examples: {
        'a history of two spans': {
          at: '2026-11-28T12:00:04.120Z',
          error: null,
          jobs: { queued: 4, sending: 1, running: 12, retrying: 0 },
          nodes: { total: 3, up: 2, down: 1, unknown: 0, draining: 0 },
          lastMinute: aPeriod,
          lastHour: aPeriod,
          lastDay: aPeriod,
          history: {
            stepSeconds: 2,
            at: [1_795_867_200, 1_795_867_202],
            arrived: [4, 5],
            succeeded: [4, 4],
            failed: [0, 1],
            cancelled: [0, 0],
            waiting: [null, 4],
            running: [null, 13],
            waitP50Ms: [1, 1],
            waitP99Ms: [1, 790],
            serviceP50Ms: [215, 197],
            serviceP99Ms: [304, 1_933],
          },
        },
      },
    },
  },
});

export const followEvents = apiCall({
  chapter: 'Operations',
  summary: 'Live changes as server-sent events',
  description:
    '`stats` with each sample, `nodes` with all rows first and then what changed, `jobs` with the ids of those that ended; ' +
    'at most one of each a second. The stream goes on until the reader leaves or the gateway stops.',
  headers: { 'Last-Event-ID': 'The id of the last `stats` event; the spans since then are sent.' },
  answers: { 200: { description: 'A stream without an end.', contentType: 'text/event-stream' } },
  errors: ['TOO_MANY_READERS', 'SHUTTING_DOWN'],
});
