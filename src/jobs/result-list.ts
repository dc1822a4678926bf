import { wireStatus, type JobState } from './job-state.js';

/** A job as it is stored, for its owner to read. Bytes are the node's own. */
export interface StoredJob {
  readonly id: string;
  readonly state: JobState;
  readonly result: Uint8Array | null;
  readonly intermediate: Uint8Array | null;
}

const NULL = Buffer.from('null');
const NONE = Buffer.from('[]');

/**
 * The body of `GET /api/jobs?id=…` exactly as a node builds it: finished jobs in the order of the request, then
 * unfinished ones; unknown ids left out, duplicates repeated; docs/protocol.md §1. Results are copied in as bytes.
 */
export function resultList(
  requestedIds: readonly string[],
  jobs: ReadonlyMap<string, StoredJob>,
  withIntermediate: boolean,
): Buffer {
  const found = requestedIds.map((id) => jobs.get(id)).filter((job) => job !== undefined);
  const finished = found.filter((job) => wireStatus(job.state) !== 'running');
  const running = found.filter((job) => wireStatus(job.state) === 'running');
  const parts: Uint8Array[] = [];
  for (const job of [...finished, ...running]) {
    parts.push(Buffer.from(`${parts.length === 0 ? '[' : ','}{"id":${JSON.stringify(job.id)},`));
    if (withIntermediate) {
      parts.push(Buffer.from('"intermediate_results":'), job.intermediate ?? NONE, Buffer.from(','));
    }
    const result = job.result ?? NULL;
    parts.push(Buffer.from('"result":'), result, Buffer.from(`,"status":"${wireStatus(job.state)}"}`));
  }
  parts.push(Buffer.from(parts.length === 0 ? '[]\n' : ']\n'));
  return Buffer.concat(parts);
}
