import { Injectable, Logger } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { Dispatcher } from '../dispatch/dispatcher.js';
import { messageOf } from '../errors.js';
import { AttemptsRepository } from '../jobs/attempts.repository.js';
import { JobEvents } from '../jobs/job-events.js';
import { JobsRepository } from '../jobs/jobs.repository.js';
import { ResultsStore } from '../jobs/results-store.js';
import { Fleet } from '../nodes/fleet.js';
import { NodeClient } from '../nodes/node-client.js';
import type { FleetNode } from '../nodes/node.js';
import { NodesRepository } from '../nodes/nodes.repository.js';
import { NodesService } from '../nodes/nodes.service.js';
import { Prober } from '../nodes/prober.js';
import { Collector, type ResultSink } from '../results/collector.js';
import { Lane } from './lane.js';

/** First probes after a start are spread over at most this long, in ms. */
const FIRST_PROBES_MS = 2_000;
/** Between two first probes, when there are few nodes, in ms. */
const FIRST_PROBE_GAP_MS = 5;

/** Runs a lane for every node of the fleet. */
@Injectable()
export class Lanes {
  private readonly log = new Logger(Lanes.name);
  private readonly lanes = new Map<string, Lane>();

  constructor(
    private readonly settings: Settings,
    private readonly fleet: Fleet,
    private readonly nodes: NodesService,
    private readonly nodesRepository: NodesRepository,
    private readonly client: NodeClient,
    private readonly dispatcher: Dispatcher,
    private readonly jobs: JobsRepository,
    private readonly attempts: AttemptsRepository,
    private readonly results: ResultsStore,
    private readonly events: JobEvents,
  ) {}

  /**
   * Starts the lanes of all nodes and takes up the jobs that wait. Resolves when every node was probed once, or after
   * a short while; nodes that join later are probed at once.
   */
  async start(): Promise<void> {
    this.dispatcher.on('accepted', (job) => this.lanes.get(job.attempt.nodeId)?.collect(job));
    this.events.on('wanted', (jobIds, untilMs) => {
      for (const lane of this.lanes.values()) lane.hurry(jobIds, untilMs);
    });
    this.fleet.on('joined', (node) => {
      this.open(node, 0).catch((error: unknown) => this.log.error({ err: error }, 'A lane did not start'));
    });
    this.fleet.on('changed', (node) => this.removeIfIdle(node.id));
    this.fleet.on('left', (node) => this.close(node));
    const { nodes } = this.fleet;
    const gapMs = Math.min(FIRST_PROBE_GAP_MS, FIRST_PROBES_MS / nodes.length);
    const opened = nodes.map((node, index) => this.open(node, index * gapMs));
    await Promise.all(opened);
    this.dispatcher.hold(await this.jobs.queued());
    await this.firstProbes(nodes);
  }

  /** Looks at a node now. */
  async probe(nodeId: string): Promise<void> {
    await this.lanes.get(nodeId)?.probe();
  }

  /** Safe when never started, safe twice. */
  stop(): void {
    for (const lane of this.lanes.values()) lane.stop();
    this.lanes.clear();
  }

  /** Removes a node at once: its unfinished jobs go elsewhere. @throws GatewayError NOT_FOUND */
  async removeNow(nodeId: string): Promise<void> {
    await this.nodes.remove(nodeId);
    this.dispatcher.hold(await this.jobs.takeBackFrom(nodeId, 'the node was removed by an operator'));
  }

  private async open(node: FleetNode, probeDelayMs: number): Promise<void> {
    const { fleet, client, settings } = this;
    const collector = new Collector(node, client, this.sinkOf(node.id), {
      maxResultBytes: settings.maxResultBytes,
      timeoutMs: settings.submitTimeoutMs,
    });
    const prober = new Prober(node, fleet, client, this.nodesRepository, {
      intervalMs: settings.probeIntervalMs,
      timeoutMs: settings.probeTimeoutMs,
    });
    const lane = new Lane(node, { prober, collector }, { dispatcher: this.dispatcher, jobs: this.jobs });
    this.lanes.set(node.id, lane);
    await lane.start(probeDelayMs);
    this.removeIfIdle(node.id);
  }

  /** What collected results mean for the rest: committed first, then the place on the node is free. */
  private sinkOf(nodeId: string): ResultSink {
    return {
      finish: async (finished) => {
        await this.results.finish(finished);
        this.ended(nodeId);
      },
      lost: async ({ attempt, containers }, reason) => {
        await this.attempts.requeue(attempt, { state: 'lost', reason });
        this.ended(nodeId);
        this.dispatcher.hold([{ id: attempt.jobId, containers }]);
      },
    };
  }

  private ended(nodeId: string): void {
    this.dispatcher.ended(nodeId);
    this.removeIfIdle(nodeId);
  }

  private close(node: FleetNode): void {
    this.lanes.get(node.id)?.stop();
    this.lanes.delete(node.id);
  }

  /** Completes a removal once nothing of ours runs on the node any more. */
  private removeIfIdle(nodeId: string): void {
    const lane = this.lanes.get(nodeId);
    if (lane?.node.config.state !== 'removing' || !lane.idle) return;
    this.nodes.remove(nodeId).catch((error: unknown) => {
      this.log.warn(`Node ${lane.node.config.name} could not be removed yet: ${messageOf(error)}`);
    });
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
