import { EventEmitter } from 'node:events';
import { Injectable } from '@nestjs/common';
import type { ContainerInfo, NodeFeature, NodeInfo } from '../protocol/node-info.js';
import { FleetNode, type NodeConfig } from './node.js';

/** What the fleet tells others; listeners run synchronously. */
export interface FleetEvents {
  joined: [node: FleetNode];
  /** Its configuration, health or offer changed. */
  changed: [node: FleetNode];
  left: [node: FleetNode];
  /** /info was read; pending counts are fresh. */
  probed: [node: FleetNode];
}

/** The version of the node API that the gateway speaks. */
const API_VERSION = '1.4.0';

/**
 * All nodes that are registered and not removed, with what is known of each, in memory. Questions about the
 * whole fleet are answered from here and never wait for a node (G9).
 */
@Injectable()
export class Fleet extends EventEmitter<FleetEvents> {
  private readonly nodesById = new Map<string, FleetNode>();

  get nodes(): FleetNode[] {
    return [...this.nodesById.values()];
  }

  get(id: string): FleetNode | undefined {
    return this.nodesById.get(id);
  }

  /** For people: `removed` for one that is here no more. */
  nameOf(id: string): string {
    return this.get(id)?.config.name ?? 'removed';
  }

  /** Takes a node in, or takes over its new configuration; one that was removed leaves. */
  put(config: NodeConfig, snapshot?: NodeInfo): void {
    const known = this.nodesById.get(config.id);
    if (config.state === 'removed') {
      if (known === undefined) return;
      this.nodesById.delete(config.id);
      known.config = config;
      this.emit('left', known);
    } else if (known === undefined) {
      const node = new FleetNode(config, snapshot);
      this.nodesById.set(config.id, node);
      this.emit('joined', node);
    } else {
      known.config = config;
      this.emit('changed', known);
    }
  }

  /**
   * Why no registered node can ever take a job for these containers; undefined if one can, be it up or not.
   * The order and the names are those of a node (docs/protocol.md §1). For a chain that no single node runs,
   * it names the first container missing on the node that runs the longest part of it.
   * @param features what the job needs beyond its containers
   */
  refusalFor(
    containers: readonly string[],
    features: readonly NodeFeature[] = [],
  ): { error: string; params: Record<string, string> } | undefined {
    const first = containers[0];
    if (first === undefined) return { error: 'No containers specified', params: {} };
    const nodes = this.nodes.filter(({ config }) => config.state !== 'removing');
    const known = (id: string): boolean => nodes.some((node) => node.containers.has(id));
    const unknown = containers.find((id) => !known(id));
    if (unknown !== undefined) return notSupported(unknown);
    const runners = nodes.filter((node) => node.runs(containers));
    if (runners.length === 0) {
      const longest = Math.max(...nodes.map((node) => node.prefixOf(containers)));
      return notSupported(containers[longest] as string);
    }
    if (!runners.some((node) => node.containers.get(first)?.external === true)) {
      return { error: 'First container must be external', params: { first_container: first } };
    }
    if (features.includes('proof') && !runners.some((node) => node.supports('proof'))) {
      return {
        error: 'Container does not generate proof',
        params: { container: containers.at(-1) as string },
      };
    }
    return undefined;
  }

  /**
   * The fleet as one node: every container once (external if it is on any node), pending counts summed.
   * @param queued jobs that wait in the gateway; they are pending too
   */
  mergedInfo(queued: number): NodeInfo {
    const containers = new Map<string, ContainerInfo>();
    const pending = { offchain: queued, onchain: 0 };
    let chain = { enabled: false, address: '' };
    for (const { info, health, config, containers: offered } of this.nodes) {
      if (info === undefined || !config.approved) continue;
      for (const container of offered.values()) {
        const known = containers.get(container.id);
        if (known === undefined) containers.set(container.id, container);
        else if (container.external && !known.external)
          containers.set(container.id, { ...known, external: true });
      }
      // What a node that is down said last is no news of its work.
      if (health === 'up') {
        pending.offchain += info.pending.offchain;
        pending.onchain += info.pending.onchain;
      }
      if (info.chain.enabled && !chain.enabled) chain = info.chain;
    }
    const byId = [...containers.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    return { chain, containers: byId, pending, version: API_VERSION };
  }
}

function notSupported(container: string): { error: string; params: Record<string, string> } {
  return { error: 'Container not supported', params: { container } };
}
