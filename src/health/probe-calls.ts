import { z } from 'zod';
import { apiCall } from '../http/api-call.js';

export const liveCall = apiCall({
  chapter: 'Operations',
  summary: 'Whether the process works',
  description: 'Any answer at all says so. If none comes for long, restart the process.',
  answers: {
    200: {
      description: 'It does.',
      schema: z.object({ status: z.literal('live') }),
      examples: { live: { status: 'live' } },
    },
  },
});

const checkSchema = z.object({
  ok: z.boolean(),
  required: z.boolean().meta({ description: 'Whether it decides' }),
});

const readinessSchema = z
  .object({
    status: z.enum(['ready', 'not ready']),
    checks: z.record(z.string(), checkSchema),
    nodes: z.object({ registered: z.number(), up: z.number() }),
  })
  .meta({ id: 'Readiness' });

const ready = {
  status: 'ready',
  checks: {
    running: { ok: true, required: true },
    database: { ok: true, required: true },
    migrations: { ok: true, required: true },
    queue: { ok: true, required: false },
    nodes: { ok: true, required: false },
  },
  nodes: { registered: 3, up: 2 },
};
const away = { ok: false, required: true };

export const readyCall = apiCall({
  chapter: 'Operations',
  summary: 'Whether this gateway should be sent requests',
  description:
    'Only checks that are required decide; a gateway without a node that is up stores jobs and is ready.',
  answers: {
    200: { description: 'It should.', schema: readinessSchema, examples: { ready } },
    503: {
      description: 'It should not, for now.',
      schema: readinessSchema,
      examples: {
        'without its database': {
          ...ready,
          status: 'not ready',
          checks: { ...ready.checks, database: away, migrations: away },
        },
      },
    },
  },
});
