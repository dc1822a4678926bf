import { GatewayError } from '../errors.js';
import {
  decoded,
  jsonElements,
  jsonMembers,
  JsonSyntaxError,
  jsonValue,
  type JsonSlice,
} from './raw-json.js';

/** The body of `PUT /api/status`, as far as it counts: `data` is not stored, by nodes neither. */
export interface StatusRequest {
  readonly id: string;
  readonly status: 'running' | 'success' | 'failed';
}

/** Ids are the caller's own; so many UTF-16 code units at most. */
export const MOST_ID_LENGTH = 255;

/** Whether a row may have this id: not empty, not too long, and text that can be stored. */
export function isRecordableId(id: string): boolean {
  return id !== '' && id.length <= MOST_ID_LENGTH && !/\0|\p{Surrogate}/u.test(id);
}

/**
 * Reads a status to record; docs/protocol.md §1.
 * @throws GatewayError MALFORMED_REQUEST that names the field; for a status that is none, in the words of a node
 */
export function parseStatusRequest(body: Buffer): StatusRequest {
  const members = membersOf(body);
  const id = required(body, members, 'id', 'string') as string;
  if (!isRecordableId(id)) {
    throw malformed('id', `id: 1 to ${MOST_ID_LENGTH} characters expected, without NUL`);
  }
  const containers = required(body, members, 'containers', 'array') as unknown[];
  if (!containers.every((container) => typeof container === 'string')) {
    throw malformed('containers', 'containers: an array of strings expected');
  }
  const status = members.get('status');
  if (status === undefined) throw malformed('status', 'status: missing');
  const word = status.kind === 'string' ? decoded(body, status) : undefined;
  if (word !== 'running' && word !== 'success' && word !== 'failed') {
    throw malformed('status', 'Status is invalid');
  }
  return { id, status: word };
}

function membersOf(body: Buffer): Map<string, JsonSlice> {
  try {
    const value = jsonValue(body);
    if (value.kind === 'object') return jsonMembers(body, value);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw malformed('body', `The body is not valid JSON: ${error.message}`);
  }
  throw malformed('body', 'The body must be a JSON object');
}

function required(
  body: Buffer,
  members: Map<string, JsonSlice>,
  name: string,
  kind: 'string' | 'array',
): unknown {
  const member = members.get(name);
  if (member === undefined) throw malformed(name, `${name}: missing`);
  if (member.kind !== kind) {
    throw malformed(name, `${name}: ${kind === 'array' ? 'an array of strings' : 'a string'} expected`);
  }
  if (kind === 'string') return decoded(body, member);
  // Only strings are of interest, and they alone are safe to decode.
  return jsonElements(body, member).map((element) =>
    element.kind === 'string' ? decoded(body, element) : undefined,
  );
}

function malformed(field: string, message: string): GatewayError {
  return new GatewayError('MALFORMED_REQUEST', message, { field });
}
