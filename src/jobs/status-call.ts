import { z } from 'zod';
import { apiCall } from '../http/api-call.js';
import { storableString } from '../http/api-input.js';
import { MOST_ID_LENGTH } from '../protocol/status-request.js';

/** `PUT /api/status`, docs/protocol.md §1; read by src/protocol/status-request.ts. */
export const recordStatus = apiCall({
  chapter: 'Jobs',
  summary: 'Record the status of a job that ran elsewhere',
  description:
    'For callers on this machine, in 172.17.0.0/16 to 172.19.0.0/16 or in 192.168.0.0/16, or with the admin token. The row ' +
    'shows in the results and ids of that caller, with a null result.',
  body: z.object({
    id: storableString.min(1).max(MOST_ID_LENGTH).describe('Of your own choice.'),
    status: z.enum(['running', 'success', 'failed']),
    containers: z.array(z.string()),
    data: z.unknown().optional().describe('Not stored.'),
  }),
  bodyExamples: { ended: { id: 'my-job-1', status: 'success', containers: ['echo'], data: {} } },
  headers: { Authorization: '`Bearer <ADMIN_TOKEN>`, for callers from elsewhere.' },
  answers: { 200: { description: 'Recorded.', schema: z.null(), examples: { recorded: null } } },
  errors: ['MALFORMED_REQUEST', 'NOT_LOCAL', 'JOB_OF_GATEWAY', 'DATABASE_UNAVAILABLE'],
});
