import type { Gateway } from '../gateway.js';
import { quantile, type BurstReport } from './burst.js';
import type { Actor } from './stage.js';
import { milliseconds, type Terminal } from './terminal.js';

const BAR_WIDTH = 20;

/** Prints what each node did since `since` (epoch ms) and how long callers waited. */
export function printReport(
  terminal: Terminal,
  actors: readonly Actor[],
  since: number,
  { submitMs, resultMs, totalMs }: BurstReport,
): void {
  const work = actors.map((actor) => {
    const executions = actor.node.executions.filter(
      ({ startedAt, outcome }) => startedAt >= since && outcome === 'success',
    );
    const busyMs = executions.reduce(
      (sum, run) => sum + (run.finishedAt ?? run.startedAt) - run.startedAt,
      0,
    );
    return { ...actor, jobs: executions.length, meanMs: busyMs / executions.length };
  });
  const jobs = work.reduce((sum, actor) => sum + actor.jobs, 0);

  terminal.heading('What each node did');
  terminal.table(
    [
      { title: 'node' },
      { title: 'speed', align: 'right' },
      { title: 'slots', align: 'right' },
      { title: 'jobs done', align: 'right' },
      { title: 'share', align: 'right' },
      { title: 'mean service', align: 'right' },
      { title: '' },
    ],
    work.map(({ name, speed, slots, jobs: done, meanMs }) => [
      name,
      `x${speed}`,
      String(slots),
      String(done),
      `${Math.round((100 * done) / jobs)} %`,
      Number.isNaN(meanMs) ? '-' : milliseconds(meanMs),
      terminal.bar(done / jobs, BAR_WIDTH),
    ]),
  );

  terminal.heading('How long callers waited');
  terminal.table(
    [{ title: '' }, { title: 'p50', align: 'right' }, { title: 'p99', align: 'right' }],
    [
      ['submit', ...quantiles(submitMs)],
      ['submit to result', ...quantiles(resultMs)],
    ],
  );
  const rate = Math.round(resultMs.length / (totalMs / 1_000));
  terminal.line(`  ${resultMs.length} jobs in ${milliseconds(totalMs)}: ${rate} a second`);
}

/** Prints where to look while it runs. */
export function printAddresses(terminal: Terminal, gateway: Gateway, actors: readonly Actor[]): void {
  const { url, adminToken } = gateway;
  terminal.heading('Look around');
  const rows = [
    ['API', `curl ${url}/info`],
    ['admin', `curl -H 'Authorization: Bearer ${adminToken}' ${url}/admin/nodes`],
    ...actors.map(({ name, node }) => [name, `curl ${node.url}/__emulator/state`]),
  ];
  for (const [name = '', command = ''] of rows) {
    terminal.line(`  ${terminal.style('bold', name.padEnd(8))}${command}`);
  }
}

function quantiles(values: readonly number[]): string[] {
  return values.length === 0
    ? ['-', '-']
    : [milliseconds(quantile(values, 0.5)), milliseconds(quantile(values, 0.99))];
}
