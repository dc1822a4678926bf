import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { uuidv7 } from '../../src/protocol/uuid.js';

import { readSettings } from '../../src/config/settings.js';
import type { Attempt } from '../../src/dispatch/attempt-store.js';
import { AcceptancesRepository } from '../../src/jobs/acceptances.repository.js';
import { AttemptsRepository } from '../../src/jobs/attempts.repository.js';
import { JobEvents } from '../../src/jobs/job-events.js';
import { failureResult } from '../../src/jobs/job-state.js';
import { JobsRepository } from '../../src/jobs/jobs.repository.js';
import { OperationsRepository } from '../../src/jobs/operations.repository.js';
import { ResultsStore } from '../../src/jobs/results-store.js';
import { NoMetrics } from '../../src/metrics/metrics.js';
import { Broadcast } from '../../src/persistence/broadcast.js';
import { Database } from '../../src/persistence/database.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

/*
 * What dispatching, collecting, rescuing and operators do to a few jobs, in random order, against the real statements:
 * results come late and twice, attempts end after their job has begun a new generation, claims are repeated. After each
 * step the stored jobs must make sense, and nobody may have been told of an end that was none.
 */

const JOBS = 4;
const NODES = 3;
const STEPS = 120;
const EXHAUSTED_AT = 3;
const TERMINAL = ['succeeded', 'failed', 'cancelled'];

interface JobRow {
  readonly id: string;
  readonly state: string;
  readonly generation: number;
  readonly finished: boolean;
  /** Open attempts of this generation. */
  readonly open: number;
  readonly results: readonly { generation: number; text: string }[];
}

let database: TestDatabase;
let store: Database;

beforeEach(async () => {
  database = await createTestDatabase();
  store = new Database({ url: database.url });
});
afterEach(async () => {
  await store.$disconnect();
  await database.drop();
});

class Life {
  private readonly nodes = Array.from({ length: NODES }, () => uuidv7());
  private readonly jobs = Array.from({ length: JOBS }, () => uuidv7());
  private readonly settings = readSettings({});
  private readonly events = new JobEvents();
  private readonly results: ResultsStore;
  private readonly attempts: AttemptsRepository;
  private readonly reads: JobsRepository;
  private readonly operations: OperationsRepository;
  /** Every attempt that was ever made; its result may come at any time, more than once. */
  private readonly made: Attempt[] = [];
  /** Those that a node has taken: nobody says any more that it would not. */
  private readonly taken = new Set<string>();
  private readonly rescued = new Set<string>();
  private readonly announced: string[] = [];
  private readonly kept = new Map<string, string>();
  readonly done = new Map<string, number>();

  constructor(private readonly random: () => number) {
    const broadcast = new Broadcast(store, database.url, 'one');
    const metrics = new NoMetrics();
    const acceptances = new AcceptancesRepository(store, metrics);
    this.results = new ResultsStore(store, this.events, broadcast, this.settings, acceptances, metrics);
    this.attempts = new AttemptsRepository(store, this.results, acceptances, this.settings, metrics);
    this.reads = new JobsRepository(store);
    this.operations = new OperationsRepository(store, this.settings);
    this.events.on('finished', (id) => this.announced.push(id));
  }

  async begin(): Promise<void> {
    for (const id of this.nodes) {
      await store.$executeRaw`INSERT INTO nodes (id, url, name, source, updated_at, lease_fence, lease_until)
        VALUES (${id}::uuid, ${`http://${id}`}, 'n', 'admin', now(), 1, now() + interval '1 hour')`;
    }
    for (const id of this.jobs) {
      const body = Buffer.from('{"containers":["echo"],"data":{}}');
      const job = { id, caller: 'c', containers: ['echo'], requiresProof: false, body };
      const first = this.random() < 0.5 ? this.attempt(id) : undefined;
      await this.attempts.admit(job, first);
      if (first !== undefined) this.made.push(first);
    }
  }

  async step(): Promise<void> {
    const jobId = this.any(this.jobs);
    const attempt = this.made.length === 0 ? undefined : this.any(this.made);
    const dice = this.random();
    if (dice < 0.25) return this.note('claim', this.claim(jobId));
    if (dice < 0.35) return this.note('cancel', this.cancel(jobId));
    if (dice < 0.45) return this.note('retry by operator', this.operations.retry([jobId]));
    if (attempt === undefined) return;
    if (dice < 0.6) return this.note('accepted', this.accept(attempt));
    if (dice < 0.68) return this.note('rescue', this.rescue(attempt));
    if (dice < 0.75) return this.note('fail', this.failOnce(attempt));
    if (dice < 0.8) return this.note('absent', this.absent(attempt));
    if (dice < 0.84) return this.note('move on', this.moveOn(attempt));
    if (dice < 0.88) return this.note('message', this.reads.requeueRetrying([jobId]));
    // Late results arrive together with others.
    const more = this.random() < 0.3 ? [this.any(this.made)] : [];
    return this.note('result', Promise.all([attempt, ...more].map((one) => this.finish(one))));
  }

  /** @throws AssertionError */
  async check(trace: string): Promise<void> {
    const rows = await this.rows();
    for (const { id, state, generation, finished, open, results } of rows) {
      const about = `${trace}: ${id} is ${state}, generation ${generation}, ${open} open`;
      expect(finished, about).toBe(TERMINAL.includes(state));
      const own = results.filter((result) => result.generation === generation);
      expect(own.length, `${about}: results`).toBe(finished ? 1 : 0);
      if (state === 'sending' || state === 'running') expect(open, about).toBeGreaterThan(0);
      if (state === 'retrying') expect(open, about).toBe(0);
      if (!this.rescued.has(id)) expect(open, about).toBeLessThanOrEqual(1);
      if (state === 'queued' && !this.rescued.has(id)) expect(open, about).toBe(0);
      for (const { generation: which, text } of results) {
        const key = `${id} ${which}`;
        expect(text, `${about}: result of generation ${which}`).toBe(this.kept.get(key) ?? text);
        this.kept.set(key, text);
      }
      if (this.announced.includes(id)) expect(finished, `${about}: its end was announced`).toBe(true);
    }
    this.announced.length = 0;
  }

  private async rows(): Promise<JobRow[]> {
    return store.$queryRaw<JobRow[]>`
      SELECT id, state::text AS state, generation, finished_at IS NOT NULL AS finished,
        (SELECT count(*)::int FROM attempts
          WHERE job_id = jobs.id AND attempts.generation = jobs.generation AND attempts.finished_at IS NULL) AS open,
        (SELECT coalesce(json_agg(json_build_object('generation', job_results.generation,
          'text', convert_from(result, 'UTF8'))), '[]') FROM job_results WHERE job_id = jobs.id) AS results
      FROM jobs`;
  }

  private async note(what: string, act: Promise<unknown>): Promise<void> {
    await act;
    this.done.set(what, (this.done.get(what) ?? 0) + 1);
  }

  private async claim(jobId: string): Promise<void> {
    const claimed = await this.attempts.claim({ jobId, nodeId: this.any(this.nodes), fence: 1 });
    if (typeof claimed === 'object') this.made.push(claimed.attempt);
  }

  private async cancel(jobId: string): Promise<void> {
    await this.operations.cancel(jobId, (containers) => failureResult(containers, 'cancelled'));
  }

  private async accept(attempt: Attempt): Promise<void> {
    this.taken.add(attempt.id);
    await this.attempts.accepted(attempt, undefined);
  }

  private async rescue({ jobId, nodeId }: Attempt): Promise<void> {
    if (await this.attempts.rescue(jobId, nodeId)) this.rescued.add(jobId);
  }

  private async failOnce(attempt: Attempt): Promise<void> {
    const ending = { state: 'failed', reason: 'it failed' } as const;
    const pauses = { baseMs: 1, maxMs: 1, share: 1 };
    const { kind } = await this.attempts.retry(attempt, ending, EXHAUSTED_AT, pauses);
    if (kind === 'exhausted') await this.finish(attempt, 'failed');
    if (kind === 'stale') await this.results.finishSuperseded(attempt.id, ending.reason);
  }

  private async absent(attempt: Attempt): Promise<void> {
    if (this.taken.has(attempt.id)) return;
    const requeued = await this.attempts.requeue(attempt, { state: 'lost', reason: 'it is not there' });
    if (!requeued) await this.results.finishSuperseded(attempt.id, 'it is not there');
  }

  private async moveOn(attempt: Attempt): Promise<void> {
    if (this.taken.has(attempt.id)) return;
    const next = { ...this.attempt(attempt.jobId), id: uuidv7(), number: this.made.length + 100 };
    const ending = { state: 'unreachable', reason: 'no' } as const;
    if (await this.attempts.moveOn(attempt, ending, next)) this.made.push(next);
  }

  private async finish(attempt: Attempt, state: 'succeeded' | 'failed' = 'succeeded'): Promise<void> {
    const result = Buffer.from(`"${state} ${attempt.id} ${this.random()}"`);
    await this.results.finish({ attempt, state, reason: null, result, intermediate: null });
  }

  private attempt(jobId: string): Attempt {
    return { id: jobId, jobId, nodeId: this.any(this.nodes), number: 1, fence: 1 };
  }

  private any<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)] as T;
  }
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

describe('a job whose attempts, rescues, late results and retries come in any order', () => {
  it.each([1, 2, 3, 4, 5, 6])('makes sense after every step (seed %i)', async (seed) => {
    const life = new Life(seeded(seed));
    await life.begin();
    await life.check('begin');
    for (let step = 1; step <= STEPS; step += 1) {
      await life.step();
      await life.check(`seed ${seed}, step ${step}`);
    }
    expect([...life.done.keys()].sort()).toEqual([
      'absent',
      'accepted',
      'cancel',
      'claim',
      'fail',
      'message',
      'move on',
      'rescue',
      'result',
      'retry by operator',
    ]);
  });
});
