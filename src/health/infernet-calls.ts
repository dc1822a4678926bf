import { z } from 'zod';
import { apiCall } from '../http/api-call.js';
import { aContainer, containerSchema } from '../protocol/node-info.js';
import { resourcesQuery, resourcesSchema, someResources } from '../protocol/resource-schemas.js';

/** The node API's calls about the node itself, docs/protocol.md §1. */

export const healthCall = apiCall({
  chapter: 'Fleet',
  summary: 'Whether the gateway is there',
  answers: {
    200: {
      description: 'It is.',
      schema: z.object({ status: z.literal('healthy') }),
      examples: { healthy: { status: 'healthy' } },
    },
  },
});

export const infoSchema = z
  .object({
    chain: z.object({ address: z.string(), enabled: z.boolean() }),
    containers: z.array(containerSchema),
    pending: z.object({ offchain: z.number(), onchain: z.number() }),
    version: z.string(),
  })
  .meta({ id: 'Info' });

export const infoCall = apiCall({
  chapter: 'Fleet',
  summary: 'All nodes merged into one',
  answers: {
    200: {
      description:
        'Every container that some node runs, external if it is so on any; pending work of all, and of jobs that wait here.',
      schema: infoSchema,
      examples: {
        fleet: {
          chain: { address: '', enabled: false },
          containers: [aContainer],
          pending: { offchain: 5, onchain: 0 },
          version: '1.4.0',
        },
      },
    },
  },
});

export const resourcesCall = apiCall({
  chapter: 'Fleet',
  summary: 'What the containers say of themselves',
  description:
    'From the last answers of all nodes that are up, within a second. A container that several nodes run has the ' +
    'models and hardware of all; a model is supported if it is on any.',
  query: resourcesQuery,
  parameterExamples: { model_id: 'gpt2' },
  answers: {
    200: { description: 'Every container that told.', schema: resourcesSchema, examples: someResources },
  },
  errors: ['MALFORMED_REQUEST'],
});
