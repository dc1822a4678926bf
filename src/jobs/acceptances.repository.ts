import { performance } from 'node:perf_hooks';
import { Injectable } from '@nestjs/common';
import type { Attempt } from '../dispatch/attempt-store.js';
import { Metrics } from '../metrics/metrics.js';
import { Database, storableText } from '../persistence/database.js';
import { plainArray } from '../persistence/plain-array.js';
import { WriteGroup } from '../persistence/write-group.js';

interface Acceptance {
  readonly attemptId: string;
  readonly nodeJobId: string | undefined;
  /** On the clock of `performance.now()`. */
  readonly atMs: number;
}

interface Noted extends Acceptance {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** How long an acceptance is held back, in ms. */
const HOLD_MS = 500;

/**
 * Commits that nodes have accepted jobs: `sending` → `running`. An acceptance that nothing hangs on is held back for a
 * moment. If the job ends before, its end is committed together with the time of its acceptance, and of three writes for
 * each job one is saved; if the process dies, the node is asked about an attempt that is `sending`.
 */
@Injectable()
export class AcceptancesRepository {
  private readonly group: WriteGroup<Acceptance, void>;
  /** By attempt, in the order in which they came. */
  private readonly noted = new Map<string, Noted>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly database: Database,
    metrics: Metrics,
  ) {
    this.group = new WriteGroup<Acceptance, void>({
      name: 'acceptances',
      flush: (items) => this.write(items),
      onFlush: metrics.groupCommitted.bind(metrics),
    });
  }

  /** Commits it at once. @param nodeJobId the id that the node uses when it did not take ours */
  async commit(attempt: Attempt, nodeJobId: string | undefined): Promise<void> {
    await this.group.add({ attemptId: attempt.id, nodeJobId, atMs: performance.now() });
  }

  /** Commits it in a moment. Resolves when it is committed, or when the attempt's end took it along. */
  note({ id: attemptId }: Attempt): Promise<void> {
    return new Promise((resolve, reject) => {
      this.noted.set(attemptId, {
        attemptId,
        nodeJobId: undefined,
        atMs: performance.now(),
        resolve,
        reject,
      });
      this.timer ??= setTimeout(() => this.release(), HOLD_MS);
    });
  }

  /** Whoever commits the attempt's end takes its acceptance along. @returns how long ago it was, in ms, if it was held back */
  take(attemptId: string): number | null {
    const noted = this.noted.get(attemptId);
    if (noted === undefined) return null;
    this.noted.delete(attemptId);
    noted.resolve();
    return performance.now() - noted.atMs;
  }

  /** Resolves when nothing of this attempt is held back any more, so that what comes after it finds it committed. */
  async settle(attemptId: string): Promise<void> {
    const noted = this.noted.get(attemptId);
    if (noted === undefined) return;
    this.noted.delete(attemptId);
    await this.pass(noted);
  }

  private release(): void {
    this.timer = undefined;
    const dueAt = performance.now() - HOLD_MS;
    for (const [attemptId, noted] of this.noted) {
      if (noted.atMs > dueAt) {
        // Later ones go in larger groups rather than on time.
        this.timer = setTimeout(() => this.release(), Math.max(HOLD_MS / 10, noted.atMs - dueAt));
        return;
      }
      this.noted.delete(attemptId);
      this.pass(noted).catch(() => undefined);
    }
  }

  private async pass(noted: Noted): Promise<void> {
    const committed = this.group.add(noted);
    committed.then(noted.resolve, noted.reject);
    await committed;
  }

  private async write(items: readonly Acceptance[]): Promise<void[]> {
    const now = performance.now();
    await this.database.prepared`
      WITH input AS (
        SELECT * FROM unnest(
          ${plainArray(items.map(({ attemptId }) => attemptId))}::uuid[],
          ${items.map(({ nodeJobId }) => (nodeJobId === undefined ? null : storableText(nodeJobId)))}::text[],
          ${plainArray(items.map(({ atMs }) => now - atMs))}::float8[]
        ) AS t(id, node_job_id, ago_ms)),
      running AS (
        UPDATE attempts SET state = 'running', node_job_id = input.node_job_id,
               accepted_at = now() - make_interval(secs => ago_ms / 1000)
        FROM input WHERE attempts.id = input.id AND attempts.state = 'sending'
        RETURNING attempts.job_id, attempts.generation)
      UPDATE jobs SET state = 'running' FROM running
      WHERE jobs.id = running.job_id AND jobs.generation = running.generation AND jobs.state = 'sending'`;
    return items.map(() => undefined);
  }
}
