import { Injectable, Logger } from '@nestjs/common';
import { Settings, SettingsError } from '../config/settings.js';
import { GatewayError, messageOf } from '../errors.js';
import type { NodeConfig } from '../nodes/node.js';
import { normaliseNodeUrl } from '../nodes/node-url.js';
import type { SourceChange } from '../nodes/nodes.repository.js';
import { NodesService } from '../nodes/nodes.service.js';
import { ExplorerSource } from './explorer-source.js';
import { FileSource } from './file-source.js';
import type { NodeSource } from './node-source.js';
import { rollCall, type ListedSource } from './roll-call.js';

/** After a roll call that failed, for the database was away, say, the next one comes so soon, in ms. */
const RETRY_MS = 1_000;

/**
 * Keeps the registered nodes in step with those that the sources list: the setting NODES (at the start only), a file, a
 * node explorer. What is new is registered, what left is drained and removed once it is idle, what comes back goes on
 * as it was. Nodes that were registered by hand are left alone, and so are those of a source that is not configured, or gave
 * no usable list yet. Every replica does this; whoever comes second finds nothing to do.
 *
 * A stranger from an explorer gets no data of callers until an operator has approved it, unless EXPLORER_TRUST says so. What
 * operators have listed themselves is approved, and for as long as they list it.
 */
@Injectable()
export class Discovery {
  private readonly log = new Logger(Discovery.name);
  private readonly sources: readonly NodeSource[];
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(
    private readonly settings: Settings,
    private readonly nodes: NodesService,
  ) {
    const { nodesFile, nodeExplorerUrl: url, explorerIntervalMs: intervalMs } = settings;
    const onChanged = (): void => this.callRollSoon(0);
    this.sources = [
      ...(nodesFile === undefined ? [] : [new FileSource(nodesFile, onChanged)]),
      ...(url === undefined ? [] : [new ExplorerSource({ url, intervalMs }, onChanged)]),
    ];
  }

  /**
   * Registers the nodes of the setting NODES, reads the file and watches the sources from now on. May be called again after it
   * has failed.
   * @throws SettingsError if NODES has something else than nodes; whatever the store throws
   */
  async start(): Promise<void> {
    const fromSettings = [...new Set(this.settings.nodes.map(settingUrl))];
    for (const source of this.sources) await source.start();
    const lists = new Map<ListedSource, readonly string[]>();
    if (fromSettings.length > 0) lists.set('env', fromSettings);
    const first = this.running.then(() => this.callRoll(lists));
    // Whoever comes next waits for this one, but does not fail with it.
    this.running = first.catch(() => undefined);
    await first;
  }

  /** Safe when never started, safe twice. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    for (const source of this.sources) source.stop();
    await this.running;
  }

  /** One roll call over the last lists of the sources. @throws whatever the store throws */
  async runOnce(): Promise<void> {
    await this.callRoll(new Map());
  }

  private async callRoll(lists: Map<ListedSource, readonly string[]>): Promise<void> {
    for (const { name, urls } of this.sources) if (urls !== undefined) lists.set(name, urls);
    if (lists.size === 0) return;
    const { missing, left, back, moved } = rollCall(lists, await this.nodes.registered());
    const removed = await this.nodes.lastRemoved(missing.map(({ url }) => url));
    for (const { url, source } of missing) await this.take(url, source, removed.get(url));
    for (const node of left) await this.nodes.leave(node);
    for (const { node, source } of back) await this.nodes.comeBack(node, this.changeTo(source, node));
    for (const { node, source } of moved) await this.nodes.moveTo(node, this.changeTo(source, node));
    if (this.settings.explorerTrust) await this.nodes.approveAllOf('explorer');
  }

  private async take(url: string, source: ListedSource, before: NodeConfig | undefined): Promise<void> {
    if (before !== undefined && before.leftFrom !== null)
      return this.nodes.comeBack(before, this.changeTo(source, before));
    // An operator has removed this one. A file is the operators' own word, an explorer is not.
    if (source === 'explorer' && before?.source === 'explorer') return;
    try {
      await this.nodes.register({ url }, source, this.vouchesFor(source));
    } catch (error) {
      // Another replica with the same list was faster.
      if (!(error instanceof GatewayError) || error.code !== 'NODE_URL_TAKEN') throw error;
      await this.nodes.reload();
    }
  }

  /** The approval goes with the source that listed the node; where that is still the same one it stays as it is. */
  private changeTo(source: ListedSource, { source: before }: NodeConfig): SourceChange {
    return source === before ? { source } : { source, approved: this.vouchesFor(source) };
  }

  /** Whether the nodes of a source may have callers' data since an operator said so of them all. */
  private vouchesFor(source: ListedSource): boolean {
    return source !== 'explorer' || this.settings.explorerTrust;
  }

  private callRollSoon(delayMs: number): void {
    clearTimeout(this.timer);
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      this.running = this.running
        .then(() => this.runOnce())
        .catch((error: unknown) => {
          this.log.warn(`The nodes could not be brought in step with their sources: ${messageOf(error)}`);
          this.callRollSoon(RETRY_MS);
        });
    }, delayMs);
  }
}

/** @throws SettingsError that names the setting */
function settingUrl(url: string): string {
  try {
    return normaliseNodeUrl(url);
  } catch (error) {
    throw new SettingsError([`NODES: expected URLs of nodes: ${messageOf(error)}`]);
  }
}
