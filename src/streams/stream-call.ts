import { apiCall } from '../http/api-call.js';
import { jobRequestSchema, refused } from '../jobs/job-calls.js';

/** The node API's stream call, docs/protocol.md §1. */
export const streamJob = apiCall({
  chapter: 'Jobs',
  summary: 'Hand in a job and get its output as it comes',
  description:
    'Only the first container runs. The first chunk is the id of the job on a line of its own, alone; then come the ' +
    "container's bytes. The connection ends with the final chunk only if the job succeeded, else it is cut; the job's " +
    'row says how it ended, as for any job.',
  body: jobRequestSchema,
  bodyExamples: {
    'a completion': {
      containers: ['openai-inference-streaming-0.0.1'],
      data: { model: 'gpt-3.5-turbo-16k', params: { endpoint: 'completion' } },
    },
  },
  answers: {
    200: {
      description: "The id, then the output; the content type is the node's.",
      contentType: 'text/html; charset=utf-8',
    },
    405: refused,
  },
  errors: ['DATABASE_UNAVAILABLE', 'NO_ROOM', 'SHUTTING_DOWN'],
});
