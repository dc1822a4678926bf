import type { FleetNode } from '../nodes/node.js';
import { beginSpan, type TracedSpan, type Traceparent } from '../tracing/tracing.js';
import type { Attempt } from './attempt-store.js';

/** The span of one attempt, in the trace that its job belongs to; undefined if that is none. */
export function beginAttemptSpan(
  traceparent: Traceparent | undefined,
  { id, jobId, number }: Attempt,
  node: FleetNode,
): TracedSpan | undefined {
  if (traceparent === undefined) return undefined;
  return beginSpan('attempt', {
    parent: traceparent,
    attributes: {
      'infernet.job.id': jobId,
      'infernet.attempt.id': id,
      'infernet.attempt.number': number,
      'infernet.node': node.config.name,
    },
  });
}
