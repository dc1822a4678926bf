import { GatewayError } from '../errors.js';
import { readDelegated, type DelegatedRequest } from './delegated-request.js';
import { readJob, type JobRequest } from './job-request.js';
import { jsonElements, jsonMembers, type JsonSlice } from './raw-json.js';
import { malformed, readText } from './request-text.js';

/** What `POST /api/jobs` takes: a job, or a delegated subscription. */
export type Submission = JobRequest | DelegatedRequest;

/** Tells the two apart. */
export function isDelegated(submission: Submission): submission is DelegatedRequest {
  return 'signature' in submission;
}

/**
 * Reads the body of `POST /api/jobs`.
 * @throws GatewayError MALFORMED_REQUEST with the field
 */
export function parseSubmission(text: Buffer): Submission {
  return readSubmission(text, readText(text));
}

/**
 * Reads the body of `POST /api/jobs/batch`; one bad item does not sink the others.
 * @returns for each item its request, or why it is none (with `index` among the params)
 * @throws GatewayError MALFORMED_REQUEST when the body is not a JSON array
 */
export function parseBatch(text: Buffer): (Submission | GatewayError)[] {
  const value = readText(text);
  if (value.kind !== 'array') throw malformed('Expected a list', 'body');
  return jsonElements(text, value).map((item, index) => {
    try {
      return readSubmission(text, item);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      return new GatewayError(error.code, error.message, { ...error.params, index });
    }
  });
}

/** With `containers` it is a job, whatever else it has; docs/protocol.md §5. */
function readSubmission(text: Buffer, value: JsonSlice): Submission {
  if (value.kind !== 'object') return readJob(text, value);
  const members = jsonMembers(text, value);
  const delegated = members.has('subscription') && !members.has('containers');
  return delegated ? readDelegated(text, members) : readJob(text, value);
}
