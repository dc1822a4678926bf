import { performance } from 'node:perf_hooks';
import { Injectable, Logger } from '@nestjs/common';
import { Scheduler } from '../dispatch/scheduler.js';
import type { Rescue } from '../dispatch/policy/rescuer.js';
import { messageOf } from '../errors.js';
import { AttemptsRepository } from '../jobs/attempts.repository.js';
import { JobsRepository } from '../jobs/jobs.repository.js';
import { Fleet } from '../nodes/fleet.js';
import { Broadcast } from '../persistence/broadcast.js';

const INTERVAL_MS = 1_000;

/**
 * Starts jobs of nodes that stand still elsewhere too; the policy says which. The first result counts, and the other
 * attempt is recorded as superseded.
 */
@Injectable()
export class Rescues {
  private readonly log = new Logger(Rescues.name);
  private timer: NodeJS.Timeout | undefined;
  private lastRunMs = performance.now();

  constructor(
    private readonly scheduler: Scheduler,
    private readonly attempts: AttemptsRepository,
    private readonly jobs: JobsRepository,
    private readonly fleet: Fleet,
    private readonly broadcast: Broadcast,
  ) {}

  start(): void {
    this.timer = setInterval(() => {
      // After a standstill of this process everything looks old, until the nodes were asked again.
      const late = performance.now() - this.lastRunMs > 3 * INTERVAL_MS;
      this.lastRunMs = performance.now();
      if (!late) void this.runOnce();
    }, INTERVAL_MS);
  }

  /** Never throws. */
  async runOnce(): Promise<void> {
    try {
      const rescued: string[] = [];
      for (const rescue of this.scheduler.stuck()) {
        if (!this.hasElsewhere(rescue)) continue;
        if (await this.attempts.rescue(rescue.jobId, rescue.nodeId)) rescued.push(rescue.jobId);
      }
      if (rescued.length === 0) return;
      this.log.warn(`Started ${rescued.length} jobs elsewhere too: their nodes stand still`);
      this.scheduler.hold(await this.jobs.queued(rescued));
      await this.broadcast.publish('queued', rescued);
    } catch (error) {
      this.log.warn(`Jobs could not be rescued: ${messageOf(error)}`);
    }
  }

  /** Safe when never started, safe twice. */
  stop(): void {
    clearInterval(this.timer);
  }

  private hasElsewhere({ nodeId, containers }: Rescue): boolean {
    return this.fleet.nodes.some(
      (node) =>
        node.id !== nodeId && node.health === 'up' && node.config.state === 'active' && node.runs(containers),
    );
  }
}
