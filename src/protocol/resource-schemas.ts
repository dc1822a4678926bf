import { z } from 'zod';

/** What `GET /resources` takes; docs/protocol.md §1. */
export const resourcesQuery = z.object({
  model_id: z
    .string()
    .max(500)
    .optional()
    .describe('Asks whether the containers support this model, instead of for all that they say.'),
});

export const resourcesSchema = z
  .record(z.string(), z.unknown())
  .meta({ id: 'Resources', description: 'By container id, as the container said it.' });

export const someResources = {
  resources: {
    'my-llm': {
      service_id: 'my-llm',
      compute_capability: [{ id: 'ml', type: 'text-generation', models: [], cached_models: ['gpt2'] }],
    },
  },
  'support of a model': { 'my-llm': { supported: true } },
};
