import type { Container } from './containers.js';
import type { JobRequest } from './job-request.js';

/** Why a job is not admitted, as the node words it in a 405. */
export interface Refusal {
  readonly error: string;
  readonly params: Record<string, string>;
}

/**
 * The node's checks of a well-formed job, in the node's order (docs/protocol.md §1).
 * @param allowedAddresses the addresses that may use a container, by container id; absent: everyone
 * @returns the first refusal, undefined when the job is admitted
 */
export function refusal(
  job: JobRequest,
  containers: ReadonlyMap<string, Container>,
  allowedAddresses: Readonly<Record<string, readonly string[]>>,
): Refusal | undefined {
  const [first] = job.containers;
  const last = job.containers.at(-1);
  if (first === undefined || last === undefined) return { error: 'No containers specified', params: {} };
  const unsupported = job.containers.find((id) => !containers.has(id));
  if (unsupported !== undefined) {
    return { error: 'Container not supported', params: { container: unsupported } };
  }
  if (containers.get(first)?.external !== true) {
    return { error: 'First container must be external', params: { first_container: first } };
  }
  if (job.requiresProof && containers.get(last)?.generatesProof !== true) {
    return { error: 'Container does not generate proof', params: { container: last } };
  }
  const closed = job.containers.find((id) => allowedAddresses[id]?.includes(job.ip) === false);
  if (closed !== undefined) {
    return { error: 'Container not allowed for address', params: { address: job.ip, container: closed } };
  }
  return undefined;
}
