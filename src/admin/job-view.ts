import type { Decision } from '../dispatch/policy/placement.js';
import type {
  JobRecord,
  StoredAttempt as Attempt,
  StoredJobRow as Job,
} from '../jobs/operations.repository.js';
import type { JobRowView, JobView } from './job-calls.js';

/** A job as a list shows it. */
export function jobRow(job: Job): JobRowView {
  const { id, kind, caller, state, containers, requiresProof, generation, failures } = job;
  const { createdAt, finishedAt, retryAt, deadlineAt } = job;
  return {
    id,
    kind,
    caller,
    state,
    containers,
    requiresProof,
    generation,
    failures,
    createdAt,
    finishedAt,
    retryAt,
    deadlineAt,
  };
}

/** A job with its timeline in plain words. */
export function jobView({ job, attempts, nodeNames, results }: JobRecord): JobView {
  return {
    ...jobRow(job),
    attempts: attempts.map((attempt) => ({
      id: attempt.id,
      number: attempt.number,
      generation: attempt.generation,
      node: { id: attempt.nodeId, name: nodeNames.get(attempt.nodeId) ?? null },
      nodeJobId: attempt.nodeJobId ?? attempt.id,
      state: attempt.state,
      reason: attempt.reason,
      decision: attempt.decision,
      createdAt: attempt.createdAt,
      acceptedAt: attempt.acceptedAt,
      finishedAt: attempt.finishedAt,
    })),
    results,
    timeline: timelineOf(job, attempts, nodeNames),
  };
}

function timelineOf(
  job: Job,
  attempts: readonly Attempt[],
  nodeNames: ReadonlyMap<string, string>,
): { at: Date; text: string }[] {
  const entries = [{ at: job.createdAt, text: `Accepted from ${job.caller}` }];
  for (const attempt of attempts) {
    const node = nodeNames.get(attempt.nodeId) ?? attempt.nodeId;
    const what = `Attempt ${attempt.number}`;
    entries.push({ at: attempt.createdAt, text: `${what}: sent to ${node}${choiceOf(attempt.decision)}` });
    if (attempt.acceptedAt !== null)
      entries.push({ at: attempt.acceptedAt, text: `${what}: ${node} accepted it` });
    if (attempt.finishedAt !== null)
      entries.push({ at: attempt.finishedAt, text: `${what}: ${ending(attempt, node)}` });
  }
  if (job.state === 'retrying' && job.retryAt !== null) {
    entries.push({ at: job.retryAt, text: 'Will be tried again' });
  }
  if (job.finishedAt !== null) entries.push({ at: job.finishedAt, text: `The job ended: ${job.state}` });
  return entries.sort((a, b) => a.at.getTime() - b.at.getTime());
}

function ending(attempt: Attempt, node: string): string {
  const because = attempt.reason === null ? '' : `: ${attempt.reason}`;
  switch (attempt.state) {
    case 'succeeded':
      return `${node} finished it`;
    case 'failed':
      return `failed on ${node}${because}`;
    case 'refused':
      return `${node} will not take this job${because}`;
    case 'unreachable':
      return `did not get through to ${node}${because}`;
    case 'lost':
      return `lost on ${node}${because}`;
    case 'superseded':
      return `${node} finished it after the job had ended; ignored${because}`;
    case 'sending':
    case 'running':
      return 'still open';
  }
}

/** Why the node was chosen, as it was stored (`Decision`). */
function choiceOf(stored: Attempt['decision']): string {
  if (stored === null || typeof stored !== 'object') return '';
  const { why, expectedMs, serviceMs, ahead, slots, foreign, waiting } = stored as unknown as Decision;
  const reason = {
    best: 'it was expected to finish first',
    canary: 'to see whether this idle node has become faster',
    retry: 'another node had not taken it',
    'least-pending': 'it had the least work',
    'round-robin': 'it was its turn',
  }[why];
  const others = foreign === 0 ? '' : `, ${foreign} jobs of others there`;
  return (
    `; ${reason}: ${expectedMs} ms expected, ${serviceMs} ms of service, ` +
    `${ahead} ahead of it on ${slots} slot${slots === 1 ? '' : 's'}${others}, ${waiting} waiting`
  );
}
