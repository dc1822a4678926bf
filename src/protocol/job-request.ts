import { bytesOf, decoded, jsonElements, jsonMembers, type JsonSlice } from './raw-json.js';
import { article, malformed, readText } from './request-text.js';

/** The largest body that a node reads, in bytes, inclusive; docs/protocol.md §1. */
export const BODY_LIMIT_BYTES = 16_777_216;

/** What an application asks for, reduced to what a node needs. */
export interface JobRequest {
  readonly containers: readonly string[];
  readonly requiresProof: boolean;
  /**
   * The JSON object to send to a node, without an id: `containers`, `data` byte for byte as the
   * application wrote it, and `requires_proof` when true. Everything else it wrote, such as `id`, `ip`
   * and `type`, is dropped: a node would obey those (docs/protocol.md §6.1).
   */
  readonly body: Buffer;
}

/**
 * Reads the body of a request for one job.
 * @throws GatewayError MALFORMED_REQUEST with the field
 */
export function parseJobRequest(text: Buffer): JobRequest {
  return readJob(text, readText(text));
}

/**
 * The bytes to send: the request with the node-side id put in front. A request that leaves no room for
 * the id under the node's limit goes without; the node then makes an id of its own.
 */
export function withNodeJobId(body: Buffer, nodeJobId: string): Buffer {
  const head = Buffer.from(`{"id":"${nodeJobId}",`);
  return body.length - 1 + head.length > BODY_LIMIT_BYTES ? body : Buffer.concat([head, body.subarray(1)]);
}

/**
 * Reads one job: a whole body, or an item of a batch.
 * @throws GatewayError MALFORMED_REQUEST with the field
 */
export function readJob(text: Buffer, value: JsonSlice): JobRequest {
  if (value.kind !== 'object') throw malformed(`A job must be an object, not ${article(value)}`, 'body');
  const members = jsonMembers(text, value);
  const containers = readContainers(text, members.get('containers'));
  const data = members.get('data');
  if (data === undefined) throw malformed('data is missing', 'data');
  if (data.kind !== 'object') throw malformed(`data must be an object, not ${article(data)}`, 'data');
  const requiresProof = readRequiresProof(text, members.get('requires_proof'));
  return {
    containers,
    requiresProof,
    body: Buffer.concat([
      Buffer.from(`{"containers":${JSON.stringify(containers)},"data":`),
      bytesOf(text, data),
      Buffer.from(requiresProof ? ',"requires_proof":true}' : '}'),
    ]),
  };
}

function readContainers(text: Buffer, slice: JsonSlice | undefined): string[] {
  if (slice === undefined) throw malformed('containers is missing', 'containers');
  if (slice.kind !== 'array') {
    throw malformed(`containers must be a list of strings, not ${article(slice)}`, 'containers');
  }
  return jsonElements(text, slice).map((element, index) => {
    if (element.kind === 'string') return decoded(text, element) as string;
    throw malformed(`containers[${index}] must be a string, not ${article(element)}`, `containers[${index}]`);
  });
}

function readRequiresProof(text: Buffer, slice: JsonSlice | undefined): boolean {
  if (slice === undefined || slice.kind === 'null') return false;
  if (slice.kind === 'boolean') return decoded(text, slice) as boolean;
  throw malformed(`requires_proof must be true, false or null, not ${article(slice)}`, 'requires_proof');
}
