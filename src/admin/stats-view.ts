import type { Fleet } from '../nodes/fleet.js';
import type { Durations } from '../stats/durations.js';
import type { History, Span } from '../stats/history.js';
import type { Sampler } from '../stats/sampler.js';
import type { HistoryColumns, Period, Totals } from './stats-calls.js';

const MINUTE_MS = 60_000;

/** What `GET /admin/stats` and each `stats` event say of the present. */
export function totalsView(sampler: Sampler, fleet: Fleet): Totals {
  return {
    at: sampler.at ?? null,
    error: sampler.error ?? null,
    jobs: sampler.open,
    nodes: nodeCounts(fleet),
    lastMinute: periodView(sampler.last(MINUTE_MS)),
  };
}

/** The figures of one stretch of time. */
export function periodView(span: Span): Period {
  const { arrived, succeeded, failed, cancelled, wait, service } = span;
  return { arrived, succeeded, failed, cancelled, waitMs: quantiles(wait), serviceMs: quantiles(service) };
}

/**
 * Spans as columns of equal length, oldest first, `null` where nothing is known. Only spans that are over are shown.
 * @param sinceMs only those that began then or later
 */
export function historyView(history: History, untilMs: number, sinceMs = -Infinity): HistoryColumns {
  const spans = [...history.since(sinceMs)].filter(([at]) => at + history.stepMs <= untilMs);
  const column = (read: (span: Span) => number | null): (number | null)[] =>
    spans.map(([, span]) => (span === undefined ? null : read(span)));
  return {
    stepSeconds: history.stepMs / 1_000,
    at: spans.map(([at]) => at / 1_000),
    arrived: column(({ arrived }) => arrived),
    succeeded: column(({ succeeded }) => succeeded),
    failed: column(({ failed }) => failed),
    cancelled: column(({ cancelled }) => cancelled),
    waiting: column(({ waiting }) => waiting),
    running: column(({ running }) => running),
    waitP50Ms: column(({ wait }) => wait.quantileMs(0.5)),
    waitP99Ms: column(({ wait }) => wait.quantileMs(0.99)),
    serviceP50Ms: column(({ service }) => service.quantileMs(0.5)),
    serviceP99Ms: column(({ service }) => service.quantileMs(0.99)),
  };
}

function quantiles(durations: Durations): Period['waitMs'] {
  return { p50: durations.quantileMs(0.5), p99: durations.quantileMs(0.99) };
}

function nodeCounts(fleet: Fleet): Totals['nodes'] {
  const counts = { total: 0, up: 0, down: 0, unknown: 0, draining: 0 };
  for (const { health, config } of fleet.nodes) {
    counts.total += 1;
    counts[health] += 1;
    if (config.state !== 'active') counts.draining += 1;
  }
  return counts;
}
