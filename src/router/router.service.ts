import { Injectable } from '@nestjs/common';
import { Scheduler } from '../dispatch/scheduler.js';
import { Fleet } from '../nodes/fleet.js';
import { FleetResources } from '../nodes/fleet-resources.js';
import type { FleetNode } from '../nodes/node.js';
import type { NodeInfo } from '../protocol/node-info.js';
import { writeResources } from '../protocol/resources.js';
import { publicAddress } from './public-address.js';
import { ranked } from './ranking.js';

/** A container as the router lists it. */
export interface NetworkContainer {
  readonly count: number;
  readonly description: string;
  readonly id: string;
}

/** What the reference router tells clients that talk to nodes themselves (docs/protocol.md §3), from memory (G9). */
@Injectable()
export class RouterService {
  /** How often a node was named first since it was last looked at: those who were told will have gone there. */
  private readonly told = new Map<string, { since: NodeInfo; times: number }>();

  constructor(
    private readonly fleet: Fleet,
    private readonly scheduler: Scheduler,
    private readonly resources: FleetResources,
  ) {
    fleet.on('left', ({ id }) => this.told.delete(id));
  }

  /**
   * `host:port` of nodes that run all these containers and take jobs from anybody who knows their address, soonest expected
   * completion first. Nodes that need TLS, a path prefix or private headers are left out.
   */
  addresses(containers: readonly string[], page: { readonly n: number; readonly offset: number }): string[] {
    const prospects = new Map(
      this.scheduler.prospects(containers).map((prospect) => [prospect.nodeId, prospect]),
    );
    const candidates = this.live().flatMap((node) => {
      const { id, info } = node;
      const prospect = prospects.get(id);
      if (publicAddress(node.config) === undefined || !node.runs(containers)) return [];
      if (prospect === undefined || info === undefined) return [];
      // Of a node that another replica works with only its pending counts are known.
      const load = node.leased ? prospect.load : info.pending.offchain + info.pending.onchain;
      return [{ ...prospect, node, load: load + this.toldOf(id, info) }];
    });
    const nodes = ranked(candidates).slice(page.offset, page.offset + page.n);
    const first = page.offset === 0 ? nodes[0] : undefined;
    if (first?.info !== undefined) {
      this.told.set(first.id, { since: first.info, times: this.toldOf(first.id, first.info) + 1 });
    }
    return nodes.flatMap((node) => publicAddress(node.config) ?? []);
  }

  /** Every container of the nodes that are up, and how many of them run it. */
  containers(): NetworkContainer[] {
    const byId = new Map<string, NetworkContainer>();
    for (const { id, description } of this.live().flatMap((node) => [...node.containers.values()])) {
      const known = byId.get(id);
      byId.set(id, {
        count: (known?.count ?? 0) + 1,
        description: known === undefined || known.description === '' ? description : known.description,
        id,
      });
    }
    return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /**
   * The resources of each node that `addresses` may name, by its address.
   * @throws GatewayError MALFORMED_REQUEST with field `model_id`
   */
  async resourcesByAddress(modelId: string | undefined): Promise<Buffer> {
    const answers = await this.resources.byNode(modelId);
    const live = new Set(this.live());
    return writeResources(
      answers.flatMap(([node, entries]): [string, Buffer][] => {
        const address = publicAddress(node.config);
        return address === undefined || !live.has(node)
          ? []
          : [[address, writeResources(entries).subarray(0, -1)]];
      }),
    );
  }

  /** Nodes that are up and take new work. */
  private live(): FleetNode[] {
    return this.fleet.nodes.filter(({ health, config }) => health === 'up' && config.state === 'active');
  }

  private toldOf(nodeId: string, info: NodeInfo): number {
    const told = this.told.get(nodeId);
    return told !== undefined && told.since === info ? told.times : 0;
  }
}
