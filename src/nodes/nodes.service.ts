import { isDeepStrictEqual } from 'node:util';
import { Injectable, Logger } from '@nestjs/common';
import { GatewayError } from '../errors.js';
import { Fleet } from './fleet.js';
import type { FleetNode, NodeConfig } from './node.js';
import { normaliseNodeUrl } from './node-url.js';
import { Broadcast } from '../persistence/broadcast.js';
import { NodesRepository, type NodeChange, type SourceChange } from './nodes.repository.js';
import { uuidv7 } from '../protocol/uuid.js';

/** What an operator may say of a node; only the URL is needed to register one. */
export interface NodeWishes {
  readonly url?: string | undefined;
  readonly name?: string | undefined;
  readonly weight?: number | undefined;
  readonly maxInFlight?: number | null | undefined;
  readonly labels?: Record<string, string> | undefined;
  readonly headers?: Record<string, string> | undefined;
}

/** What an operator has said of a node goes before what its source says. */
const BY_HAND = { source: 'admin', leftFrom: null } as const;

/** Registers and changes nodes: first in the store, then in the fleet. */
@Injectable()
export class NodesService {
  private readonly log = new Logger(NodesService.name);

  constructor(
    private readonly fleet: Fleet,
    private readonly repository: NodesRepository,
    private readonly broadcast: Broadcast,
  ) {}

  /** Makes the fleet as it is stored: other replicas may have changed it. */
  async reload(): Promise<void> {
    const stored = await this.repository.all();
    const ids = new Set(stored.map(({ config }) => config.id));
    for (const node of this.fleet.nodes)
      if (!ids.has(node.id)) this.fleet.put({ ...node.config, state: 'removed' });
    for (const { config, snapshot, summary } of stored) {
      const known = this.fleet.get(config.id);
      if (known === undefined || !isDeepStrictEqual(known.config, config)) this.fleet.put(config, snapshot);
      const node = known ?? this.fleet.get(config.id);
      if (summary !== undefined && node?.lease === undefined) node?.told(summary, snapshot);
    }
  }

  /**
   * @throws GatewayError MALFORMED_REQUEST with field `url`, NODE_URL_TAKEN
   */
  async register(
    wishes: NodeWishes & { readonly url: string },
    source: NodeConfig['source'],
    approved = true,
  ): Promise<FleetNode> {
    const url = normaliseNodeUrl(wishes.url);
    const config = await this.repository.create({
      id: uuidv7(),
      url,
      // Host, port and path: several nodes may be behind one host.
      name: wishes.name ?? url.slice(url.indexOf('://') + 3),
      weight: wishes.weight ?? 1,
      maxInFlight: wishes.maxInFlight ?? null,
      labels: wishes.labels ?? {},
      headers: wishes.headers ?? {},
      source,
      approved,
    });
    if (config === undefined) throw urlTaken(url);
    this.log.log({ node: config.name, source }, `Registered the node at ${config.url}`);
    return this.take(config);
  }

  /** @throws GatewayError NOT_FOUND, MALFORMED_REQUEST with field `url`, NODE_URL_TAKEN */
  async change(id: string, wishes: NodeWishes): Promise<FleetNode> {
    const { config } = this.find(id);
    const url = wishes.url === undefined ? undefined : normaliseNodeUrl(wishes.url);
    // Where it is now no source says any more.
    const moved = url !== undefined && url !== config.url;
    return this.update(id, { ...wishes, url, ...(moved ? BY_HAND : {}) });
  }

  /** No new jobs for the node; running ones are collected. @throws GatewayError NOT_FOUND */
  async drain(id: string): Promise<FleetNode> {
    const node = this.find(id);
    return node.config.state === 'removing' ? node : this.update(id, { state: 'draining' });
  }

  /**
   * Takes back a drain or a removal that is not complete. One that its source lists no more counts as registered by hand from
   * now on.
   * @throws GatewayError NOT_FOUND
   */
  async resume(id: string): Promise<FleetNode> {
    const { config } = this.find(id);
    return this.update(id, { state: 'active', ...(config.leftFrom === null ? {} : BY_HAND) });
  }

  /** Drains the node; whoever runs its lane removes it once nothing of ours runs there. @throws GatewayError NOT_FOUND */
  async startRemoval(id: string): Promise<FleetNode> {
    this.find(id);
    return this.update(id, { state: 'removing', leftFrom: null });
  }

  /** Takes the node out of the fleet; its row stays for the history of its attempts. @throws GatewayError NOT_FOUND */
  async remove(id: string): Promise<void> {
    const node = this.find(id);
    await this.update(id, { state: 'removed' });
    this.log.log({ node: node.config.name }, 'Removed the node');
  }

  /** It may have callers' data from now on. @throws GatewayError NOT_FOUND */
  async approve(id: string): Promise<FleetNode> {
    this.find(id);
    return this.update(id, { approved: true });
  }

  /** Every stored node that is not removed; the fleet is brought up to date with them. */
  async registered(): Promise<NodeConfig[]> {
    await this.reload();
    return this.fleet.nodes.map(({ config }) => config);
  }

  /** Of each of these URLs the node that was removed last, by URL. */
  async lastRemoved(urls: readonly string[]): Promise<ReadonlyMap<string, NodeConfig>> {
    return new Map((await this.repository.lastRemoved(urls)).map((node) => [node.url, node]));
  }

  /** Its source lists it no more: it drains, and is removed once nothing of ours runs there. */
  async leave(node: NodeConfig): Promise<void> {
    const config = await this.repository.markLeft(node);
    if (config === undefined) return;
    this.log.log({ node: config.name, source: config.source }, 'The node is not listed any more');
    this.take(config);
  }

  /** It is listed again: it goes on as it was when it left, but for what another source changes. */
  async comeBack(node: NodeConfig, change: SourceChange): Promise<void> {
    const config = await this.repository.bringBack(node, change);
    if (config === undefined) return;
    this.log.log({ node: config.name, source: config.source }, 'The node is listed again');
    this.take(config);
  }

  /** Another source lists it now. */
  async moveTo(node: NodeConfig, change: SourceChange): Promise<void> {
    const config = await this.repository.moveTo(node, change);
    if (config !== undefined) this.take(config);
  }

  /** Approves every node of a source that waits for it. */
  async approveAllOf(source: NodeConfig['source']): Promise<void> {
    for (const { id, config } of this.fleet.nodes) {
      if (config.source === source && !config.approved) await this.update(id, { approved: true });
    }
  }

  /** @throws GatewayError NOT_FOUND */
  find(id: string): FleetNode {
    const node = this.fleet.get(id);
    if (node === undefined) throw new GatewayError('NOT_FOUND', `There is no node ${id}`, { id });
    return node;
  }

  private async update(id: string, change: NodeChange): Promise<FleetNode> {
    const config = await this.repository.update(id, change);
    if (config === undefined) throw urlTaken(String(change.url));
    const before = this.find(id);
    this.fleet.put(config);
    void this.broadcast.publish('nodes', [id]);
    return this.fleet.get(id) ?? before;
  }

  private take(config: NodeConfig): FleetNode {
    this.fleet.put(config);
    void this.broadcast.publish('nodes', [config.id]);
    return this.find(config.id);
  }
}

function urlTaken(url: string): GatewayError {
  return new GatewayError('NODE_URL_TAKEN', `A node with this url is registered already: ${url}`, {
    field: 'url',
  });
}
