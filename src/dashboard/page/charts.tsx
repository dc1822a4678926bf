import { useMemo } from 'preact/hooks';
import { Chart, type Line } from './chart.js';
import { formatDuration, formatNumber, formatShare } from './format.js';
import { NO_HISTORY } from './columns.js';
import type { Columns, Totals } from './shapes.js';

const perSecond = (value: number | null): string => `${formatNumber(value)}/s`;

const FLOW: readonly Line[] = [
  { name: 'succeeded', colour: 'accent', isFilled: true },
  { name: 'failed', colour: 'bad' },
  { name: 'arrived', colour: 'muted', isDashed: true },
];
const OPEN: readonly Line[] = [
  { name: 'running', colour: 'accent', isFilled: true },
  { name: 'waiting', colour: 'warn' },
];
const QUANTILES: readonly Line[] = [
  { name: 'p50', colour: 'accent', isFilled: true },
  { name: 'p99', colour: 'muted' },
];

/** Four charts, each with the figures of the last minute. */
export function Charts(props: {
  readonly history: Columns | undefined;
  readonly totals: Totals | undefined;
  readonly isDay: boolean;
}) {
  const { history = NO_HISTORY, totals, isDay } = props;
  const { stepSeconds, at } = history;
  const span = isDay ? 86_400 : 600;
  const flow = useMemo(() => {
    const rate = (column: Columns['arrived']) =>
      column.map((one) => (one === null ? null : one / stepSeconds));
    return [at, rate(history.succeeded), rate(history.failed), rate(history.arrived)];
  }, [history]);
  const open = useMemo(() => [at, history.running, history.waiting], [history]);
  const wait = useMemo(() => [at, history.waitP50Ms, history.waitP99Ms], [history]);
  const service = useMemo(() => [at, history.serviceP50Ms, history.serviceP99Ms], [history]);
  const last = totals?.lastMinute;
  const ended = last === undefined ? 0 : last.succeeded + last.failed;
  const waiting = totals === undefined ? null : totals.jobs.queued + totals.jobs.retrying;
  const running = totals === undefined ? null : totals.jobs.running + totals.jobs.sending;
  return (
    <div class="charts">
      <Chart
        title="Throughput"
        figure={last === undefined ? '–' : perSecond(ended / 60)}
        note={
          last === undefined || ended === 0
            ? 'no job ended'
            : `${formatShare(last.succeeded, ended)} succeeded`
        }
        lines={FLOW}
        data={flow}
        format={perSecond}
        span={span}
      />
      <Chart
        title="Jobs"
        figure={`${formatNumber(running)} running`}
        note={`${formatNumber(waiting)} waiting`}
        lines={OPEN}
        data={open}
        format={formatNumber}
        span={span}
      />
      <Chart
        title="Wait"
        figure={formatDuration(last?.waitMs.p50)}
        note={`p99 ${formatDuration(last?.waitMs.p99)}`}
        lines={QUANTILES}
        data={wait}
        format={formatDuration}
        span={span}
      />
      <Chart
        title="Service"
        figure={formatDuration(last?.serviceMs.p50)}
        note={`p99 ${formatDuration(last?.serviceMs.p99)}`}
        lines={QUANTILES}
        data={service}
        format={formatDuration}
        span={span}
      />
    </div>
  );
}
