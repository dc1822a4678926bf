import { z } from 'zod';
import { apiCall } from '../http/api-call.js';
import { resourcesQuery, resourcesSchema, someResources } from '../protocol/resource-schemas.js';

/** The Infernet Router API's calls, docs/protocol.md §3. */

/** Text, because a count that is none is ignored. */
const count = z.string().optional();

export const ipsCall = apiCall({
  chapter: 'Fleet',
  summary: 'Nodes that run these containers',
  description:
    'For clients that talk to nodes themselves: those that need TLS, a path prefix or private headers are left out. The ' +
    'node that is expected to be done soonest comes first.',
  query: z.object({
    container: z.array(z.string()).min(1).describe('May be repeated: nodes run all of them.'),
    n: count.describe('How many nodes; 3 by default.'),
    offset: count.describe('How many to skip.'),
  }),
  parameterExamples: { container: ['echo'], n: '3', offset: '0' },
  answers: {
    200: {
      description: 'Their addresses.',
      schema: z.array(z.string()),
      examples: { 'two nodes': ['10.0.0.5:4000', '10.0.0.6:4000'] },
    },
    400: {
      description: 'No container was named.',
      schema: z.object({ error: z.string() }),
      examples: { 'no containers': { error: 'No containers specified' } },
    },
  },
});

export const containersCall = apiCall({
  chapter: 'Fleet',
  summary: 'The containers of the nodes that are up',
  answers: {
    200: {
      description: 'Each once, with the number of nodes that run it.',
      schema: z.array(z.object({ count: z.int(), description: z.string(), id: z.string() })),
      examples: { one: [{ count: 2, description: 'returns its input', id: 'echo' }] },
    },
  },
});

export const resourcesByAddressCall = apiCall({
  chapter: 'Fleet',
  summary: 'What the containers of each node say of themselves',
  description: 'Of the nodes that `/api/v1/ips` may name.',
  query: resourcesQuery,
  parameterExamples: { model_id: 'gpt2' },
  answers: {
    200: {
      description: 'By address, as each node would answer.',
      schema: z.record(z.string(), resourcesSchema),
      examples: { 'one node': { '10.0.0.5:4000': someResources.resources } },
    },
  },
  errors: ['MALFORMED_REQUEST'],
});
