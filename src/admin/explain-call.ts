import { z } from 'zod';
import { apiCall } from '../http/api-call.js';
import { repeatable } from '../http/api-input.js';
import { budgetSchema, NODE_ID } from './node-calls.js';

/** How each node stands with jobs for the containers asked about, as the gateway that answers knows it. Times in ms. */
export const explanationSchema = z
  .object({
    containers: z.array(z.string()),
    choice: z
      .object({ id: z.string(), name: z.string().nullable() })
      .nullable()
      .describe(
        'The node that another job would go to now. Null if this gateway would send it to none of the nodes that it holds: ' +
          'then it waits, or goes to a node of another gateway where `eligible` is null.',
      ),
    waiting: z.int().describe('Jobs that wait for these containers, another one included.'),
    nodes: z
      .array(
        z.object({
          node: z.object({ id: z.string(), name: z.string().nullable(), url: z.string().nullable() }),
          eligible: z
            .boolean()
            .nullable()
            .describe(
              'Null of a node that another gateway holds, if nothing known here speaks against it: that one decides.',
            ),
          reason: z
            .string()
            .nullable()
            .describe('Why it may not have the job now, or who decides; null if it may.'),
          expectedMs: z.number().optional(),
          serviceMs: z.number().optional(),
          slots: z.number().optional(),
          starting: z.boolean().optional().describe('Whether its slots are still being found out.'),
          window: z.number().nullable().optional(),
          outstanding: z.int().describe('Our unfinished jobs there, of a node that this gateway holds.'),
          foreign: z.number().describe('Unfinished work of others there, of a node that this gateway holds.'),
          budgetInMs: z
            .number()
            .describe('How long its rate limit makes the next request of this gateway wait.'),
          budget: budgetSchema,
        }),
      )
      .describe('Those that may have the job first, soonest first, then those of which `eligible` is null.'),
  })
  .meta({ id: 'Explanation' });

export const explainCall = apiCall({
  chapter: 'Admin: jobs',
  summary: 'Why jobs go where they go, or wait',
  description:
    'A gateway decides about the nodes that it holds (`lease.heldHere` of a node) and answers for these: of several gateways ask each.',
  query: z.strictObject({
    container: repeatable(z.string().min(1)).describe('Repeated for a chain, in its order.'),
  }),
  parameterExamples: { container: ['echo'] },
  answers: {
    200: {
      description: 'Each node with its prospects.',
      schema: explanationSchema,
      examples: {
        'one node': {
          containers: ['echo'],
          choice: { id: NODE_ID, name: 'basement' },
          waiting: 1,
          nodes: [
            {
              node: { id: NODE_ID, name: 'basement', url: 'http://10.0.0.7:4000' },
              eligible: true,
              reason: null,
              expectedMs: 215,
              serviceMs: 210,
              slots: 4,
              starting: false,
              window: 5,
              outstanding: 0,
              foreign: 0,
              budgetInMs: 0,
              budget: { create_job: { limit: 60, left: 57, waitMs: 0 } },
            },
          ],
        },
      },
    },
  },
});
