import type { AcceptedJob, Dispatcher } from '../dispatch/dispatcher.js';
import type { JobsRepository, OpenAttempt } from '../jobs/jobs.repository.js';
import type { FleetNode } from '../nodes/node.js';
import type { Prober } from '../nodes/prober.js';
import type { Collector } from '../results/collector.js';

/** What a lane is made of. */
export interface LaneParts {
  readonly prober: Prober;
  readonly collector: Collector;
}

/** What a lane works with. */
export interface LaneContext {
  readonly dispatcher: Dispatcher;
  readonly jobs: JobsRepository;
}

/**
 * Everything the gateway does with one node: it probes it, takes up what is open there, and collects. Sending is the
 * dispatcher's; a lane hears of each accepted job.
 */
export class Lane {
  private takenUp = false;

  constructor(
    readonly node: FleetNode,
    private readonly parts: LaneParts,
    private readonly context: LaneContext,
  ) {}

  /** Whether nothing of ours is on the node or on its way there. */
  get idle(): boolean {
    return this.takenUp && this.context.dispatcher.loadOf(this.node.id).inFlight === 0;
  }

  /**
   * Probes the node from now on and takes up what an earlier process left open there.
   * @param probeDelayMs spreads the first probes of many nodes
   */
  async start(probeDelayMs: number): Promise<void> {
    this.parts.prober.start(probeDelayMs);
    for (const open of await this.context.jobs.openOn(this.node.id)) await this.takeUp(open);
    this.takenUp = true;
  }

  /** Looks at the node once, now. */
  async probe(): Promise<void> {
    await this.parts.prober.runOnce();
  }

  collect(job: AcceptedJob): void {
    this.parts.collector.watch(job);
  }

  hurry(jobIds: readonly string[], untilMs: number): void {
    this.parts.collector.hurry(jobIds, untilMs);
  }

  /** Safe twice. */
  stop(): void {
    this.parts.prober.stop();
    this.parts.collector.stop();
  }

  private async takeUp({ attempt, containers, nodeJobId, since, state }: OpenAttempt): Promise<void> {
    const { dispatcher, jobs } = this.context;
    if (state === 'running') {
      dispatcher.adopt(this.node.id);
      this.parts.collector.watch({ attempt, nodeJobId, containers }, since.getTime());
      return;
    }
    const body = await jobs.requestOf(attempt.jobId);
    if (body !== undefined) dispatcher.resume({ id: attempt.jobId, containers }, attempt, body);
  }
}
