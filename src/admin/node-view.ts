import type { Scheduler } from '../dispatch/scheduler.js';
import { statusOf } from '../lanes/node-status.js';
import type { FleetNode } from '../nodes/node.js';
import { featuresOf } from '../protocol/node-info.js';
import type { NodeView } from './node-calls.js';
import type { Row } from './row-changes.js';

/** A node as the admin API shows it. Header values are secrets and are not shown. */
export function nodeView(node: FleetNode, scheduler: Scheduler): NodeView {
  const { config, info } = node;
  return {
    id: config.id,
    url: config.url,
    name: config.name,
    state: config.state,
    source: config.source,
    approved: config.approved,
    weight: config.weight,
    maxInFlight: config.maxInFlight,
    labels: config.labels,
    headers: Object.keys(config.headers),
    createdAt: config.createdAt,
    health: node.health,
    ...statusOf(node, scheduler),
    version: info?.version ?? null,
    chain: info?.chain ?? null,
    features: info === undefined ? [] : [...featuresOf(info)].sort(),
    containers: [...(info?.containers ?? [])],
    pending: info?.pending ?? null,
    lease: { heldHere: node.leased, fence: node.lease?.fence ?? null },
  };
}

/** What a list of nodes needs of one, and little more: it is sent again whenever it changes. */
export function nodeRow(node: FleetNode, scheduler: Scheduler): Row {
  const { id, url, name, state, source, approved, weight, maxInFlight } = node.config;
  const { lastError, inFlight, foreign, slots, starting, speed, serviceMs, budget } = statusOf(
    node,
    scheduler,
  );
  const containers = [...node.containers.keys()];
  return {
    id,
    url,
    name,
    state,
    source,
    approved,
    weight,
    maxInFlight,
    health: node.health,
    lastError,
    inFlight,
    foreign,
    slots,
    starting,
    speed,
    serviceMs,
    budget,
    containers,
  };
}
