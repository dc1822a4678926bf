import { setTimeout as sleep } from 'node:timers/promises';
import { CALLERS, type HttpAnswer, type ReplicaClient } from './callers.js';
import type { Ledger } from './ledger.js';
import { Random } from './random.js';
import { bodyOf, drawWork, type Work } from './workload.js';

/** A submission that was not acknowledged. */
export interface Refusal {
  readonly at: number;
  readonly what: string;
}

export interface LoadOptions {
  readonly seed: number;
  /** Jobs each second. */
  readonly rate: number;
  /** The load ends after so many acknowledged jobs. */
  readonly jobs: number | undefined;
}

/** One submission in so many is a batch, of two to this many jobs. */
const BATCH_CHANCE = 0.15;
const LARGEST_BATCH = 5;
const MEAN_JOBS = 1 + BATCH_CHANCE * ((2 + LARGEST_BATCH) / 2 - 1);

/** A caller tries a refused job so often, each time at another replica, and then gives it up. */
const TRIES = 8;
const TRY_PAUSE_MS = 250;

/**
 * Callers who hand in jobs at random moments, whatever becomes of earlier ones: a gateway that is slow or away does
 * not slow them down. A job that is not acknowledged is handed in again as a new one.
 */
export class Load {
  readonly refusals: Refusal[] = [];
  /** Keys of jobs handed in without being acknowledged: they may run, and nobody may rely on it. */
  readonly unacknowledged = new Set<string>();
  givenUp = 0;
  private readonly random: Random;
  private readonly underWay = new Set<Promise<void>>();
  private keys = 0;
  private isOver = false;

  constructor(
    private readonly options: LoadOptions,
    private readonly ledger: Ledger,
    private readonly replicas: readonly ReplicaClient[],
  ) {
    this.random = new Random(options.seed);
  }

  /** Hands in jobs until the time is up, the wanted number is acknowledged, or {@link stop}. */
  async run(durationMs: number): Promise<void> {
    const { rate, jobs } = this.options;
    const deadline = Date.now() + durationMs;
    let nextAt = Date.now();
    while (!this.isOver && Date.now() < deadline && (jobs === undefined || this.ledger.acknowledged < jobs)) {
      nextAt += this.random.exponential((1_000 * MEAN_JOBS) / rate);
      const waitMs = nextAt - Date.now();
      if (waitMs > 0) await sleep(waitMs);
      const turn = this.submit().finally(() => this.underWay.delete(turn));
      this.underWay.add(turn);
    }
    await Promise.all(this.underWay);
  }

  stop(): void {
    this.isOver = true;
  }

  /** Everything random is drawn at once, so that the order of answers does not change later jobs. */
  private async submit(): Promise<void> {
    const caller = this.random.pick(CALLERS);
    const isBatch = this.random.chance(BATCH_CHANCE);
    const count = isBatch ? this.random.between(2, LARGEST_BATCH) : 1;
    let works = Array.from({ length: count }, () => drawWork(this.random, this.newKey()));
    const firstReplica = this.random.between(0, this.replicas.length - 1);
    for (let attempt = 0; works.length > 0; attempt += 1) {
      if (attempt === TRIES || (attempt > 0 && this.isOver)) {
        this.givenUp += works.length;
        return;
      }
      if (attempt > 0) {
        await sleep(TRY_PAUSE_MS * attempt);
        works = works.map((work) => this.renewed(work));
      }
      works = await this.handIn(works, caller, (firstReplica + attempt) % this.replicas.length, isBatch);
    }
  }

  /** @returns what was not acknowledged */
  private async handIn(works: Work[], caller: string, replica: number, isBatch: boolean): Promise<Work[]> {
    const sentAt = Date.now();
    const client = this.replicas[replica] as ReplicaClient;
    let answer: HttpAnswer;
    try {
      answer = isBatch
        ? await client.submit(caller, '/api/jobs/batch', `[${works.map(bodyOf).join(',')}]`)
        : await client.submit(caller, '/api/jobs', bodyOf(works[0] as Work));
    } catch (error) {
      this.refuse(works, nameOf(error));
      return works;
    }
    const items = itemsOf(answer, isBatch);
    return works.filter((work, index) => {
      const id = items?.[index]?.['id'];
      if (typeof id === 'string') {
        this.ledger.acknowledge({ id, work, caller, replica, sentAt, ackedAt: Date.now() });
        return false;
      }
      const item = items?.[index];
      this.refuse([work], item === undefined ? describe(answer) : `batch item: ${JSON.stringify(item)}`);
      return true;
    });
  }

  private refuse(works: readonly Work[], what: string): void {
    for (const { key } of works) {
      this.unacknowledged.add(key);
      this.refusals.push({ at: Date.now(), what: what.slice(0, 160) });
    }
  }

  private renewed(work: Work): Work {
    const key = this.newKey();
    return { ...work, key, data: work.data.replaceAll(work.key, key) };
  }

  private newKey(): string {
    this.keys += 1;
    return `chaos-${this.options.seed}-${this.keys}-end`;
  }
}

function itemsOf({ status, body }: HttpAnswer, isBatch: boolean): Record<string, unknown>[] | undefined {
  if (status !== 200) return undefined;
  try {
    const value: unknown = JSON.parse(body);
    return (isBatch ? value : [value]) as Record<string, unknown>[];
  } catch {
    return undefined;
  }
}

/** A 503 must tell when to come back; docs/chaos.md explains the report. */
function describe({ status, body, retryAfter }: HttpAnswer): string {
  return `${status} ${status === 503 && retryAfter === undefined ? '(without Retry-After) ' : ''}${body.trim()}`;
}

function nameOf(error: unknown): string {
  const { code, name, message } = error as { code?: string; name?: string; message?: string };
  if (name === 'TimeoutError') return 'no answer in 5 s';
  return `connection: ${code ?? message ?? String(error)}`;
}
