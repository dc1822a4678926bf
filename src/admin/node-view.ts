import { performance } from 'node:perf_hooks';
import type { Dispatcher } from '../dispatch/dispatcher.js';
import type { FleetNode } from '../nodes/node.js';
import type { NodeView } from './node-calls.js';

/** Kinds of jobs shown of a node, those that ran last. */
const KINDS_SHOWN = 20;

/** A node as the admin API shows it. Header values are secrets and are not shown. */
export function nodeView(node: FleetNode, dispatcher: Dispatcher): NodeView {
  const { config, info, lastError } = node;
  const { inFlight, foreign } = dispatcher.loadOf(node.id);
  return {
    id: config.id,
    url: config.url,
    name: config.name,
    state: config.state,
    source: config.source,
    weight: config.weight,
    maxInFlight: config.maxInFlight,
    labels: config.labels,
    headers: Object.keys(config.headers),
    createdAt: config.createdAt,
    health: node.health,
    lastSeenAt: node.lastSeenAt ?? null,
    lastError: lastError === undefined ? null : { message: lastError.message, at: lastError.at },
    latencyMs: node.latencyMs === undefined ? null : Math.round(node.latencyMs * 10) / 10,
    version: info?.version ?? null,
    chain: info?.chain ?? null,
    features: [...node.features].sort(),
    containers: [...node.containers.values()],
    pending: info?.pending ?? null,
    foreign,
    inFlight,
    kinds: dispatcher.pairsOf(node.id).slice(0, KINDS_SHOWN),
    budget: budgetView(node),
    lease: { heldHere: node.leased, fence: node.lease?.fence ?? null },
  };
}

/** For each route that the node limits: what is left, and how long the next request has to wait. */
export function budgetView({ budget }: FleetNode): NodeView['budget'] {
  return Object.fromEntries(budget.view(performance.now()));
}
