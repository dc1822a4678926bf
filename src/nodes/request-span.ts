import { beginSpan, type TracedSpan, type Traceparent } from '../tracing/tracing.js';
import type { NodeTarget } from './node-client.js';

/** What nodes answer when they take a request, one of each kind. */
const TAKEN = new Set(['accepted', 'items', 'streaming']);

/**
 * The span of a POST to a node.
 * @param parent what the request is made for; without it there is no span
 * @param more how many jobs it carries, and the spans of those that have traces of their own
 */
export function beginRequestSpan(
  path: string,
  node: NodeTarget,
  parent: TracedSpan | undefined,
  more: { readonly jobs: number; readonly links?: readonly Traceparent[] } = { jobs: 1 },
): TracedSpan | undefined {
  if (parent === undefined) return undefined;
  return beginSpan(`POST ${path}`, {
    kind: 'client',
    parent: parent.traceparent,
    links: more.links ?? [],
    attributes: {
      'http.request.method': 'POST',
      'url.path': path,
      'infernet.node': node.config.name,
      'infernet.jobs': more.jobs,
    },
  });
}

/** Ends it with the kind of the answer. */
export function endRequestSpan(span: TracedSpan | undefined, kind: string): void {
  span?.end({ 'infernet.outcome': kind }, TAKEN.has(kind) ? undefined : kind);
}
