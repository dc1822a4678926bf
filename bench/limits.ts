import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Caller, type JobBody } from './live/caller.js';
import { withInstallation } from './live/installation.js';
import type { BenchOptions, BenchReport } from './run.js';
import { atLeast, atMost, type Target } from './targets.js';

/**
 * How many jobs a minute three nodes take at their default limits, 60 requests a minute for each route and address, when
 * all callers share the gateway's one address. A caller that uses a node by itself gets 60 jobs a minute out of it.
 *
 * The load is closed: so many jobs are kept unfinished that every request to a node can be full. The first seconds are
 * not counted, in which the nodes' buckets are full and the rate is better than it can stay; 429s are counted by the
 * nodes from their start on.
 */
const NODES = 3;
const UNFINISHED = 3_000;
const BATCH = 100;
const WARM_UP_S = 75;
const MINUTES = 3;
const QUICK_S = 15;
const LEAST_A_MINUTE = 9_000;
const POLL_MS = 200;
const IDS_AT_ONCE = 200;
const DRAIN_LIMIT_MS = 120_000;

interface Row {
  readonly minute: number;
  readonly ended: number;
  readonly aMinute: number;
}

export async function run({ quick }: BenchOptions): Promise<BenchReport> {
  const nodes = Array.from({ length: NODES }, () => ['--containers', 'echo']);
  return withInstallation({ nodes }, async (installation) => {
    const load = new ClosedLoad(installation.url);
    const generating = load.generate();
    const rows: Row[] = [];
    if (!quick) await sleep(WARM_UP_S * 1_000);
    for (let minute = 1; minute <= (quick ? 1 : MINUTES); minute += 1) {
      const row = { minute, ...(await load.rateOver(quick ? QUICK_S : 60)) };
      console.log(`${quick ? `first ${QUICK_S} s` : `minute ${minute}`}: ${row.aMinute} jobs a minute`);
      rows.push(row);
    }
    load.stop();
    await generating;
    const { open, failed } = await load.drain();
    const states = await Promise.all(installation.nodes.map((node) => node.state()));
    const refused = states.reduce((sum, { replies }) => sum + (replies['429'] ?? 0), 0);
    const requests = states.reduce((sum, { replies }) => sum + total(Object.values(replies)), 0);
    console.log(
      `${requests} requests to nodes, ${refused} answered 429; ${open} jobs not ended, ${failed} failed`,
    );
    const targets: Target[] = [
      atMost('requests answered 429', refused, 0),
      atMost('jobs without success', open + failed, 0),
    ];
    // At first the buckets are full, so a short run says nothing of what is sustained.
    if (!quick) {
      const worst = Math.min(...rows.map(({ aMinute }) => aMinute));
      targets.unshift(atLeast(`jobs a minute in the worst of ${MINUTES}`, worst, LEAST_A_MINUTE));
    }
    return { rows: [...rows, { requests, refused, open, failed }], targets };
  });
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

/** Hands in jobs in batches so that `UNFINISHED` are under way all the time. */
class ClosedLoad {
  private readonly caller: Caller;
  private readonly ids: string[] = [];
  private stopped = false;

  constructor(url: string) {
    this.caller = new Caller(url, { keepsConnections: true });
  }

  /** Until `stop`. */
  async generate(): Promise<void> {
    while (!this.stopped) {
      const missing = UNFINISHED - (await this.caller.ids('pending')).length;
      for (let batch = 0; batch < Math.floor(missing / BATCH); batch += 1) {
        const jobs = Array.from({ length: BATCH }, (_, index): JobBody => {
          return { containers: ['echo'], data: { n: this.ids.length + index } };
        });
        this.ids.push(...(await this.caller.submitBatch(jobs)));
      }
      await sleep(POLL_MS);
    }
  }

  stop(): void {
    this.stopped = true;
  }

  /** How many jobs end in the next so many seconds, as a rate. */
  async rateOver(seconds: number): Promise<Omit<Row, 'minute'>> {
    const startedAt = performance.now();
    const before = await this.ended();
    await sleep(seconds * 1_000);
    const ended = (await this.ended()) - before;
    return { ended, aMinute: Math.round((ended * 60_000) / (performance.now() - startedAt)) };
  }

  /** Waits until all jobs have ended, within reason. @returns how many have not, and how many failed */
  async drain(): Promise<{ open: number; failed: number }> {
    const giveUpAt = performance.now() + DRAIN_LIMIT_MS;
    let open = Infinity;
    while (open > 0 && performance.now() < giveUpAt) {
      await sleep(POLL_MS);
      open = (await this.caller.ids('pending')).length;
    }
    let failed = 0;
    for (let first = 0; first < this.ids.length; first += IDS_AT_ONCE) {
      const statuses = await this.caller.statuses(this.ids.slice(first, first + IDS_AT_ONCE));
      failed += statuses.filter((status) => status === 'failed').length;
    }
    this.caller.close();
    return { open, failed };
  }

  /** Jobs that have ended; those that were handed in since the question left count as not ended. */
  private async ended(): Promise<number> {
    const submitted = this.ids.length;
    const pending = new Set(await this.caller.ids('pending'));
    return this.ids.slice(0, submitted).filter((id) => !pending.has(id)).length;
  }
}
