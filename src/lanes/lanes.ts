import { performance } from 'node:perf_hooks';
import { Injectable, Logger } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { Dispatcher } from '../dispatch/dispatcher.js';
import { Scheduler } from '../dispatch/scheduler.js';
import type { SavedLane } from '../dispatch/policy/kinds.js';
import { messageOf } from '../errors.js';
import { JobEvents } from '../jobs/job-events.js';
import { JobsRepository } from '../jobs/jobs.repository.js';
import { Metrics } from '../metrics/metrics.js';
import { Fleet } from '../nodes/fleet.js';
import { FleetResources } from '../nodes/fleet-resources.js';
import { NodeClient } from '../nodes/node-client.js';
import type { FleetNode } from '../nodes/node.js';
import { NodesRepository } from '../nodes/nodes.repository.js';
import { NodesService } from '../nodes/nodes.service.js';
import { Prober } from '../nodes/prober.js';
import { ResourceProber } from '../nodes/resource-prober.js';
import { ResourceSnapshots } from '../nodes/resource-snapshots.js';
import { Collector } from '../results/collector.js';
import { Lane } from './lane.js';
import { LeaseKeeper } from './lease-keeper.js';
import { ResultSinks } from './result-sink.js';

/** How long a start waits for the first probes, in ms. */
const FIRST_PROBES_MS = 2_000;
/** Between the first probes of two nodes, in ms: those of a thousand are spread as their later ones are. */
const FIRST_PROBE_GAP_MS = 5;
/** How long a node may take to tell its resources, in ms; it asks all its containers. */
const RESOURCES_TIMEOUT_MS = 10_000;
/** How often attempts are looked for that are open and that nobody follows, in ms. */
const TAKE_UP_INTERVAL_MS = 15_000;

/** Runs a lane for every node that is leased to this replica. */
@Injectable()
export class Lanes {
  private readonly log = new Logger(Lanes.name);
  private readonly lanes = new Map<string, Lane>();
  private timer: NodeJS.Timeout | undefined;
  /** When the next lane may probe its node first, on the clock of `performance.now()`. */
  private nextFirstProbeMs = 0;
  private takingUp: Promise<void> | undefined;

  constructor(
    private readonly settings: Settings,
    private readonly fleet: Fleet,
    private readonly nodes: NodesService,
    private readonly nodesRepository: NodesRepository,
    private readonly client: NodeClient,
    private readonly dispatcher: Dispatcher,
    private readonly scheduler: Scheduler,
    private readonly jobs: JobsRepository,
    private readonly sinks: ResultSinks,
    private readonly leases: LeaseKeeper,
    private readonly events: JobEvents,
    private readonly resources: FleetResources,
    private readonly snapshots: ResourceSnapshots,
    private readonly metrics: Metrics,
  ) {}

  /**
   * Takes leases and starts the lanes of their nodes; others follow as leases are gained. Resolves when the first
   * nodes were probed once, or after a short while.
   */
  async start(): Promise<void> {
    this.dispatcher.on('delivered', (job) => this.lanes.get(job.attempt.nodeId)?.collect(job));
    this.events.on('wanted', (jobIds, untilMs) => {
      for (const lane of this.lanes.values()) lane.hurry(jobIds, untilMs);
    });
    this.fleet.on('probed', ({ id }) => this.lanes.get(id)?.probed());
    this.resources.on('wanted', (question) => {
      for (const lane of this.lanes.values()) lane.askResources(question);
    });
    this.events.on('finished', (jobId) => this.dispatcher.forget(jobId));
    this.leases.on('gained', (node, learned) => this.open(node, learned));
    this.leases.on('lost', (node) => this.close(node));
    this.fleet.on('joined', () => void this.leases.runOnce());
    this.fleet.on('left', (node) => this.close(node));
    this.fleet.on('changed', (node) => this.removeIfIdle(node));
    await this.leases.start();
    await this.takeUpOpen();
    this.timer = setInterval(() => void this.takeUpOpen(), TAKE_UP_INTERVAL_MS);
    await this.firstProbes([...this.lanes.values()].map(({ node }) => node));
  }

  /** Looks at a node now, once this replica works with it. */
  async probe(nodeId: string): Promise<void> {
    if (!this.lanes.has(nodeId)) await this.leases.runOnce();
    await this.lanes.get(nodeId)?.probe();
  }

  /** Hands all nodes over. Safe when never started, safe twice. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.leases.stop();
  }

  /**
   * Takes up what is open on the nodes of this replica and followed by nobody: left by an earlier holder of the
   * lease, or dropped on the way by an error.
   */
  async takeUpOpen(): Promise<void> {
    // Many leases gained in one round need one look, which has to begin after all of them.
    this.takingUp ??= Promise.resolve().then(() => {
      this.takingUp = undefined;
      return this.lookForOpen();
    });
    await this.takingUp;
  }

  private async lookForOpen(): Promise<void> {
    try {
      for (const open of await this.jobs.openOn([...this.lanes.keys()])) {
        const { id, jobId, nodeId } = open.attempt;
        const lane = this.lanes.get(nodeId);
        if (lane === undefined || lane.collects(id) || this.dispatcher.isSending(jobId)) continue;
        this.scheduler.adopt(nodeId, { id: jobId, containers: open.containers });
        lane.takeUp(open);
      }
    } catch (error) {
      this.log.warn(`Open attempts could not be looked for: ${messageOf(error)}`);
    }
  }

  /** Removes a node at once: its unfinished jobs go elsewhere. @throws GatewayError NOT_FOUND */
  async removeNow(nodeId: string): Promise<void> {
    await this.nodes.remove(nodeId);
    const taken = await this.jobs.takeBackFrom(nodeId, 'the node was removed by an operator');
    // Those still on their way there do not wait for the end of that.
    for (const { id } of taken) this.scheduler.forget(id);
    this.scheduler.hold(taken);
  }

  private open(node: FleetNode, learned: SavedLane | undefined): void {
    const { fleet, client, settings } = this;
    const collector = new Collector(
      node,
      client,
      this.sinks.for(node, () => this.removeIfIdle(node)),
      {
        maxResultBytes: settings.maxResultBytes,
        timeoutMs: settings.submitTimeoutMs,
        containerTimeoutMs: settings.containerTimeoutMs,
        runningGraceMs: settings.runningGraceMs,
        noAnswerMs: settings.noAnswerMs,
        errorWhen: settings.errorWhen,
      },
      this.metrics,
    );
    const prober = new Prober(node, fleet, client, this.nodesRepository, {
      intervalMs: settings.probeIntervalMs,
      timeoutMs: settings.probeTimeoutMs,
    });
    const resources = new ResourceProber(node, client, this.snapshots, {
      intervalMs: settings.resourcesIntervalMs,
      timeoutMs: RESOURCES_TIMEOUT_MS,
    });
    const lane = new Lane(node, prober, resources, collector, settings.egressGroup);
    this.lanes.get(node.id)?.stop();
    this.lanes.set(node.id, lane);
    this.scheduler.laneReset(node.id, learned);
    lane.start(this.firstProbeDelayMs());
    fleet.emit('changed', node);
    if (this.timer !== undefined) void this.takeUpOpen();
  }

  private firstProbeDelayMs(): number {
    const now = performance.now();
    const at = Math.max(now, this.nextFirstProbeMs);
    this.nextFirstProbeMs = at + FIRST_PROBE_GAP_MS;
    return at - now;
  }

  private close(node: FleetNode): void {
    this.lanes.get(node.id)?.stop();
    this.lanes.delete(node.id);
    if (this.fleet.get(node.id) !== undefined) this.fleet.emit('changed', node);
  }

  /** Completes a removal once nothing of ours runs on the node any more. */
  private removeIfIdle(node: FleetNode): void {
    if (node.config.state !== 'removing' || !this.lanes.has(node.id)) return;
    if (this.scheduler.loadOf(node.id).inFlight > 0) return;
    void this.removeIfUnused(node).catch((error: unknown) => {
      this.log.warn({ node: node.config.name }, `The node could not be removed yet: ${messageOf(error)}`);
    });
  }

  /** Asks the store too: open attempts may not have been taken up yet. */
  private async removeIfUnused(node: FleetNode): Promise<void> {
    if ((await this.jobs.openOn([node.id])).length > 0 || node.config.state !== 'removing') return;
    if (this.fleet.get(node.id) !== undefined) await this.nodes.remove(node.id);
  }

  private async firstProbes(nodes: readonly FleetNode[]): Promise<void> {
    const unknown = (): boolean => nodes.some((node) => node.health === 'unknown');
    if (!unknown()) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.fleet.off('changed', check);
        resolve();
      };
      const check = (): void => void (unknown() || done());
      const timer = setTimeout(done, FIRST_PROBES_MS);
      this.fleet.on('changed', check);
    });
  }
}
