import { performance } from 'node:perf_hooks';
import { Injectable } from '@nestjs/common';
import { Scheduler } from '../dispatch/scheduler.js';
import { PrometheusMetrics, type Reading } from '../metrics/prometheus-metrics.js';
import { Fleet } from '../nodes/fleet.js';
import type { FleetNode } from '../nodes/node.js';

/**
 * What is known of the nodes at the moment of asking. Only the nodes that this replica works with have series of their
 * own, so that each node is told of once; and a node that left, or got another name, leaves none behind.
 */
@Injectable()
export class FleetGauges {
  private readonly names = new Map<string, string>();

  constructor(
    private readonly metrics: PrometheusMetrics,
    private readonly fleet: Fleet,
    private readonly scheduler: Scheduler,
  ) {
    metrics.addSource(() => this.read());
    const named = (node: FleetNode): void => this.rename(node.id, node.config.name);
    fleet.on('joined', named);
    fleet.on('changed', named);
    fleet.on('left', ({ id }) => this.rename(id, undefined));
  }

  private rename(id: string, name: string | undefined): void {
    const before = this.names.get(id);
    if (before === name) return;
    if (name === undefined) this.names.delete(id);
    else this.names.set(id, name);
    if (before !== undefined && ![...this.names.values()].includes(before)) this.metrics.nodeGone(before);
  }

  private read(): void {
    const { nodes } = this.fleet;
    const ours = nodes.filter(({ leased }) => leased);
    const labelOf = labelsOf(nodes);
    const perNode = (value: (node: FleetNode) => number): Reading[] =>
      ours.map((node) => ({ labels: { node: labelOf(node) }, value: value(node) }));
    const { metrics, scheduler } = this;
    metrics.replace('nodes', countsOf(nodes));
    metrics.replace('leases', [{ labels: {}, value: ours.length }]);
    metrics.replace(
      'nodeUp',
      perNode(({ health }) => Number(health === 'up')),
    );
    metrics.replace(
      'nodeInFlight',
      perNode(({ id }) => scheduler.loadOf(id).inFlight),
    );
    metrics.replace(
      'nodeForeign',
      perNode(({ id }) => scheduler.loadOf(id).foreign),
    );
    metrics.replace(
      'nodeSlots',
      perNode(({ id }) => Math.max(0, ...scheduler.pairsOf(id).map(({ slots }) => slots))),
    );
    metrics.replace(
      'nodeEjected',
      perNode(({ id }) => Number(scheduler.ejectionOf(id).ejected)),
    );
    metrics.replace(
      'nodeEjections',
      perNode(({ id }) => scheduler.ejectionOf(id).times),
    );
    const budgets = ours.flatMap((node) =>
      node.budget.view(performance.now()).map(([route, { limit, left }]) => {
        return { labels: { node: labelOf(node), route }, limit, left };
      }),
    );
    metrics.replace(
      'budgetLimit',
      budgets.map(({ labels, limit }) => ({ labels, value: limit })),
    );
    metrics.replace(
      'budgetLeft',
      budgets.map(({ labels, left }) => ({ labels, value: left })),
    );
  }
}

/**
 * What nodes are called here: by their names, and those that share one by the end of their ids too, or the last one of them
 * would hide the others. (Ids begin with a time, which nodes that were registered together have in common.)
 */
function labelsOf(nodes: readonly FleetNode[]): (node: FleetNode) => string {
  const times = new Map<string, number>();
  for (const { config } of nodes) times.set(config.name, (times.get(config.name) ?? 0) + 1);
  return ({ id, config: { name } }) => (times.get(name) === 1 ? name : `${name} (${id.slice(-8)})`);
}

/** A stranger that nobody has approved gets no jobs, so it must not pass for an active node. */
function countsOf(nodes: readonly FleetNode[]): Reading[] {
  const counts = new Map<string, { labels: { state: string; health: string }; value: number }>();
  for (const { config, health } of nodes) {
    const state = config.state === 'active' && !config.approved ? 'unapproved' : config.state;
    const labels = { state, health };
    const key = `${state} ${health}`;
    const known = counts.get(key);
    if (known === undefined) counts.set(key, { labels, value: 1 });
    else known.value += 1;
  }
  return [...counts.values()];
}
