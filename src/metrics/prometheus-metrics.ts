import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { METRICS, type MetricDefinition, type MetricKey } from './definitions.js';
import {
  ATTEMPT_OUTCOMES,
  Metrics,
  REPLY_OUTCOMES,
  type AttemptOutcome,
  type JobOutcome,
  type ReplyOutcome,
} from './metrics.js';
import { processRegistry } from './process-registry.js';

type Labels = Readonly<Record<string, string>>;

/** One series of a metric that is read when it is asked for. */
export interface Reading {
  readonly labels: Labels;
  readonly value: number;
}

/** Reads what is not counted as it happens. May fail: what it would have told is left out then. */
export type Source = () => Promise<void> | void;

/**
 * Keeps the metrics of one gateway for Prometheus; the only place that knows prom-client. What happens is counted as it
 * is told; states are read by sources when somebody asks.
 */
export class PrometheusMetrics extends Metrics {
  private readonly registry = new Registry();
  private readonly counters = new Map<MetricKey, Counter>();
  private readonly gauges = new Map<MetricKey, Gauge>();
  private readonly histograms = new Map<MetricKey, Histogram>();
  private readonly sources: Source[] = [];
  /** Routes that nodes were asked on, to find their series again. */
  private readonly routes = new Set<string>();

  constructor() {
    super();
    for (const [key, definition] of Object.entries(METRICS)) this.define(key as MetricKey, definition);
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  addSource(source: Source): void {
    this.sources.push(source);
  }

  /** Replaces all series of a metric. */
  replace(key: MetricKey, readings: readonly Reading[]): void {
    const counter = this.counters.get(key);
    const gauge = this.gauges.get(key);
    counter?.reset();
    gauge?.reset();
    // A reset of a metric without labels leaves a zero, which is not what nobody knows.
    if (readings.length === 0 && METRICS[key].labels.length === 0) gauge?.remove();
    for (const { labels, value } of readings) {
      counter?.inc(labels, value);
      gauge?.set(labels, value);
    }
  }

  /** Everything, in Prometheus's text format. */
  async text(): Promise<string> {
    await Promise.allSettled(this.sources.map(async (read) => read()));
    return Registry.merge([this.registry, processRegistry()]).metrics();
  }

  jobAccepted(): void {
    this.counters.get('jobsAccepted')?.inc();
  }

  jobEnded(outcome: JobOutcome, ageMs: number): void {
    this.counters.get('jobsEnded')?.inc({ outcome });
    this.observe('jobDuration', { outcome }, ageMs / 1_000);
  }

  jobRetried(): void {
    this.counters.get('jobRetries')?.inc();
  }

  jobPlaced(waitedMs: number): void {
    this.observe('queueWait', {}, waitedMs / 1_000);
  }

  attemptEnded(node: string, outcome: AttemptOutcome): void {
    this.counters.get('attempts')?.inc({ node, outcome });
  }

  nodeReplied(node: string, route: string, outcome: ReplyOutcome, tookMs: number): void {
    this.routes.add(route);
    this.counters.get('nodeRequests')?.inc({ node, route, outcome });
    this.observe('nodeLatency', { node, route }, tookMs / 1_000);
  }

  endSeen(node: string, serviceMs: number, unseenMs: number): void {
    this.observe('nodeService', { node }, serviceMs / 1_000);
    this.observe('collectorLag', {}, unseenMs / 1_000);
  }

  groupCommitted(group: string, rows: number, tookMs: number): void {
    this.observe('commitGroup', { group }, rows);
    this.observe('commitDuration', { group }, tookMs / 1_000);
  }

  requestAnswered(method: string, route: string, status: string, tookMs: number): void {
    this.observe('httpRequests', { method, route, status }, tookMs / 1_000);
  }

  nodeGone(node: string): void {
    for (const outcome of ATTEMPT_OUTCOMES) this.counters.get('attempts')?.remove({ node, outcome });
    this.histograms.get('nodeService')?.remove({ node });
    for (const route of this.routes) {
      this.histograms.get('nodeLatency')?.remove({ node, route });
      for (const outcome of REPLY_OUTCOMES) {
        this.counters.get('nodeRequests')?.remove({ node, route, outcome });
      }
    }
  }

  /** Clocks of several machines are involved: a time below zero is none. */
  private observe(key: MetricKey, labels: Labels, value: number): void {
    this.histograms.get(key)?.observe(labels, Math.max(0, value));
  }

  private define(key: MetricKey, { name, type, labels, help, buckets }: MetricDefinition): void {
    const common = { name, help, labelNames: [...labels], registers: [this.registry] };
    if (type === 'counter') this.counters.set(key, new Counter(common));
    else if (type === 'gauge') this.gauges.set(key, new Gauge(common));
    else this.histograms.set(key, new Histogram({ ...common, buckets: [...(buckets ?? [])] }));
  }
}
