import { randomUUID } from 'node:crypto';
import {
  bytesOf,
  decoded,
  jsonElements,
  jsonMembers,
  jsonValue,
  type JsonKind,
  type JsonSlice,
} from '../protocol/raw-json.js';
import { delegatedRequest, type DelegatedRequest } from './delegated-request.js';
import { MalformedRequest, PYTHON_TYPES } from './malformed-request.js';

/** A job as the node understood it. `data` is the exact bytes of the body's member. */
export interface JobRequest {
  readonly kind: 'job';
  readonly id: string;
  readonly ip: string;
  readonly containers: readonly string[];
  readonly data: Buffer;
  readonly requiresProof: boolean;
}

const BAD_JSON =
  '400 Bad Request: The browser (or proxy) sent a request that this server could not understand.';

/**
 * The value that a body holds.
 * @throws MalformedRequest unless it is UTF-8 JSON
 */
export function parsedBody(body: Buffer): JsonSlice {
  try {
    return jsonValue(body);
  } catch {
    throw new MalformedRequest(BAD_JSON);
  }
}

/**
 * One message of a body: the body itself or an element of a batch. `id` and `ip` in the message override
 * the node's own (docs/protocol.md §6.1).
 * @param node.subscriptions the form of delegated subscriptions that the node takes
 * @throws MalformedRequest
 */
export function jobRequest(
  body: Buffer,
  message: JsonSlice,
  { peer, subscriptions }: { readonly peer: string; readonly subscriptions: '0.x' | '1.x' },
): JobRequest | DelegatedRequest {
  if (message.kind !== 'object') {
    throw new MalformedRequest(`'${PYTHON_TYPES[message.kind]}' object is not a mapping`);
  }
  const members = jsonMembers(body, message);
  // The message classes have a field of that name which their constructors do not take.
  if (members.has('type')) throw new MalformedRequest("got an unexpected keyword argument 'type'");
  const data = required(members, 'data', 'object');
  if (!members.has('containers') && members.has('subscription')) {
    return delegatedRequest(body, members, subscriptions);
  }
  return {
    kind: 'job',
    id: optionalString(body, members, 'id') ?? randomUUID(),
    ip: optionalString(body, members, 'ip') ?? peer,
    containers: stringArray(body, required(members, 'containers', 'array')),
    data: bytesOf(body, data),
    requiresProof: optionalFlag(body, members, 'requires_proof'),
  };
}

/** A `PUT /api/status` body; `status` is unchecked. */
export function statusRequest(body: Buffer): { id: string; status: unknown } {
  const value = parsedBody(body);
  if (value.kind !== 'object') throw new MalformedRequest('not a mapping');
  const members = jsonMembers(body, value);
  const id = decoded(body, required(members, 'id', 'string')) as string;
  stringArray(body, required(members, 'containers', 'array'));
  const status = members.get('status');
  if (status === undefined) throw new MalformedRequest("'status'");
  return { id, status: status.kind === 'string' ? decoded(body, status) : undefined };
}

function required(members: Map<string, JsonSlice>, name: string, kind: JsonKind): JsonSlice {
  const member = members.get(name);
  if (member === undefined) throw new MalformedRequest(`missing value for field "${name}"`);
  if (member.kind !== kind) throw new MalformedRequest(wrongType(name, member.kind));
  return member;
}

function optionalString(body: Buffer, members: Map<string, JsonSlice>, name: string): string | undefined {
  const member = members.get(name);
  if (member === undefined) return undefined;
  if (member.kind !== 'string') throw new MalformedRequest(wrongType(name, member.kind));
  return decoded(body, member) as string;
}

function optionalFlag(body: Buffer, members: Map<string, JsonSlice>, name: string): boolean {
  const member = members.get(name);
  if (member === undefined || member.kind === 'null') return false;
  if (member.kind !== 'boolean') throw new MalformedRequest(wrongType(name, member.kind));
  return decoded(body, member) as boolean;
}

function stringArray(body: Buffer, array: JsonSlice): string[] {
  return jsonElements(body, array).map((element) => {
    if (element.kind !== 'string') throw new MalformedRequest(wrongType('containers', element.kind));
    return decoded(body, element) as string;
  });
}

function wrongType(name: string, kind: JsonKind): string {
  return `wrong value type for field "${name}", got "${PYTHON_TYPES[kind]}"`;
}
