import type { Placement } from '../../src/dispatch/policy/placement.js';
import { Gateway } from './gateway.js';
import { RateLimit } from './rate-limit.js';
import type { World } from './world.js';

/** Pause between two questions for results while the bucket is more than so full, in ms. */
const PAUSES = [
  { above: 40, pauseMs: 250 },
  { above: 20, pauseMs: 500 },
  { above: -1, pauseMs: 1_000 },
] as const;

/** What a gateway at one address may do with a node at the default limits, and the ends that it has not seen. */
interface Line {
  readonly single: RateLimit;
  readonly batch: RateLimit;
  readonly results: RateLimit;
  outbox: number[];
  /** Jobs that ended since they were last asked about, in the order in which they were sent. */
  ended: Map<number, boolean>;
  sent: Set<number>;
  askedAtMs: number;
  asking: boolean;
}

/**
 * The gateway against nodes with their rate limits on: jobs for the same node at the same instant leave as one
 * batch, and ends are seen only when the node is asked, about all of its jobs at once.
 */
export class PollingGateway extends Gateway {
  overLimit = 0;
  private readonly lines: Line[];

  constructor(world: World) {
    super(world);
    this.lines = world.nodes.map(() => ({
      single: new RateLimit(),
      batch: new RateLimit(),
      results: new RateLimit(),
      outbox: [],
      ended: new Map(),
      sent: new Set(),
      askedAtMs: 0,
      asking: false,
    }));
  }

  override arrived(job: number): void {
    super.arrived(job);
    this.flush();
  }

  protected override pump(): void {
    super.pump();
    this.flush();
  }

  protected override send({ job, nodeId }: Placement): void {
    (this.lines[Number(nodeId)] as Line).outbox.push(Number(job.id));
    this.policy.accepted(nodeId, job, this.world.nowMs);
  }

  private flush(): void {
    const { nowMs } = this.world;
    this.lines.forEach((line, node) => {
      if (line.outbox.length === 0) return;
      const { single, batch } = line;
      const route = line.outbox.length === 1 && single.tokens(nowMs) >= batch.tokens(nowMs) ? single : batch;
      if (!route.take(nowMs)) this.overLimit += 1;
      for (const job of line.outbox) {
        line.sent.add(job);
        this.world.send(job, node, (ok) => line.ended.set(job, ok));
      }
      line.outbox = [];
      // A lone job may leave by either route, a batch only by its own: the node is open while there is a batch token.
      this.policy.budget(String(node), batch.nextAtMs());
      if (!line.asking) this.askLater(line, node);
    });
  }

  private askLater(line: Line, node: number): void {
    const { nowMs, agenda } = this.world;
    const tokens = line.results.tokens(nowMs);
    const pauseMs = PAUSES.find(({ above }) => tokens > above)?.pauseMs ?? 1_000;
    line.asking = true;
    line.askedAtMs = Math.max(line.askedAtMs, nowMs);
    agenda.at(Math.max(nowMs + pauseMs, line.results.nextAtMs()), () => this.ask(line, node));
  }

  private ask(line: Line, node: number): void {
    const { nowMs } = this.world;
    if (!line.results.take(nowMs)) this.overLimit += 1;
    const unseenMs = nowMs - line.askedAtMs;
    line.askedAtMs = nowMs;
    // In order of dispatch, so that no job seems to overtake one that ended in the same interval.
    const ended = [...line.sent].filter((job) => line.ended.has(job));
    for (const job of ended) {
      line.sent.delete(job);
      const ok = line.ended.get(job) === true;
      line.ended.delete(job);
      this.settle(job, String(node), ok, unseenMs);
    }
    line.asking = line.sent.size > 0;
    if (line.asking) this.askLater(line, node);
    this.pump();
  }
}
