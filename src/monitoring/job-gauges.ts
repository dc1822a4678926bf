import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { Readiness } from '../health/readiness.js';
import { PrometheusMetrics } from '../metrics/prometheus-metrics.js';
import { UnfinishedJobsRepository, type UnfinishedCount } from './unfinished-jobs.repository.js';

const STATES = ['queued', 'sending', 'running', 'retrying'] as const;
/** Counts are used again for this long, in ms, however many scrape. */
const FRESH_MS = 5_000;
/** A scrape does not wait longer than this for the database, in ms. */
const PATIENCE_MS = 2_000;

/** What PostgreSQL knows of jobs at the moment of asking; while it is away these series are missing. */
@Injectable()
export class JobGauges {
  private counts: Promise<UnfinishedCount[] | undefined> | undefined;
  private countedAtMs = -Infinity;

  constructor(
    private readonly metrics: PrometheusMetrics,
    private readonly jobs: UnfinishedJobsRepository,
    private readonly readiness: Readiness,
  ) {
    metrics.addSource(() => this.read());
  }

  private async read(): Promise<void> {
    const late = sleep(PATIENCE_MS, undefined, { ref: false });
    const [counts, { ready }] = await Promise.all([
      Promise.race([this.count(), late]),
      this.readiness.report(),
    ]);
    this.metrics.replace('ready', [{ labels: {}, value: Number(ready) }]);
    const of = (state: UnfinishedCount['state']): UnfinishedCount | undefined =>
      counts?.find((row) => row.state === state);
    const known = counts === undefined ? [] : STATES;
    this.metrics.replace(
      'jobs',
      known.map((state) => ({ labels: { state }, value: of(state)?.count ?? 0 })),
    );
    const oldest = of('queued')?.oldestSeconds ?? 0;
    this.metrics.replace('oldestQueued', counts === undefined ? [] : [{ labels: {}, value: oldest }]);
  }

  private count(): Promise<UnfinishedCount[] | undefined> {
    if (this.counts === undefined || performance.now() - this.countedAtMs > FRESH_MS) {
      this.countedAtMs = performance.now();
      this.counts = this.jobs.count().catch(() => undefined);
    }
    return this.counts;
  }
}
