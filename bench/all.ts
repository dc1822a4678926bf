import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { rounded } from './numbers.js';
import type { BenchOptions, BenchReport } from './run.js';
import { atLeast, atMost, type Target } from './targets.js';

const PROGRAM = join(import.meta.dirname, 'run.ts');
/** What all of them together may take when quick, on two cores. */
const MOST_QUICK_MINUTES = 6;
/** Of one benchmark in the table. */
const MOST_LINES = 20;

interface Row {
  readonly bench: string;
  readonly seconds: number;
  /** None if the benchmark broke. */
  readonly rows: readonly unknown[];
}

/**
 * Runs benchmarks one after another, each in a process of its own so that none leaves anything to the next, and shows
 * their targets in one table. One that breaks misses a target and does not keep the others from running.
 */
export async function runAll(names: readonly string[], options: BenchOptions): Promise<BenchReport> {
  const rows: Row[] = [];
  const targets: Target[] = [];
  const shown: Target[] = [];
  for (const bench of names) {
    console.log(`\n=== ${bench}\n`);
    const startedAt = performance.now();
    const report = await runAlone(bench, options);
    rows.push({ bench, seconds: secondsSince(startedAt), rows: report?.rows ?? [] });
    const own = targetsOf(bench, report);
    targets.push(...own);
    shown.push(...shownOf(bench, own));
  }
  const minutes = rounded(rows.reduce((sum, { seconds }) => sum + seconds, 0) / 60);
  if (options.quick) {
    const time = atMost('all: minutes for all of it', minutes, MOST_QUICK_MINUTES);
    targets.push(time);
    shown.push(time);
  }
  console.log(`\n${tableOf(shown)}\n`);
  console.log(rows.map(({ bench, seconds }) => `${bench} ${seconds.toFixed(0)} s`).join(', '));
  return { rows, targets };
}

/** Its targets, named after it; of one that broke, that it did. */
export function targetsOf(bench: string, report: BenchReport | undefined): Target[] {
  if (report === undefined) return [atMost(`${bench}: broke`, 1, 0)];
  return report.targets.map((target) => ({
    ...target,
    name: `${bench}: ${target.name.replace(`${bench}, `, '')}`,
  }));
}

/** What the table shows: of a benchmark with very many targets how many are met, and those that are not. */
export function shownOf(bench: string, targets: readonly Target[]): Target[] {
  if (targets.length <= MOST_LINES) return [...targets];
  const missed = targets.filter(({ ok }) => !ok);
  const value = targets.length - missed.length;
  const name = `${bench}: targets met, of ${targets.length}`;
  return [atLeast(name, value, targets.length), ...missed];
}

/** As Markdown, for the README. */
export function tableOf(targets: readonly Target[]): string {
  const lines = targets.map(({ name, value, target, atLeast: least, ok }) => [
    name,
    String(rounded(value)),
    `${least === true ? '≥' : '≤'} ${target}`,
    ok ? 'yes' : '**no**',
  ]);
  const table = [['target', 'measured', 'wanted', 'met'], ...lines];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((line) => (line[column] ?? '').length)));
  const shown = table.map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)));
  const rule = widths.map((width) => '-'.repeat(width));
  return [...shown.slice(0, 1), rule, ...shown.slice(1)].map((line) => `| ${line.join(' | ')} |`).join('\n');
}

/** @returns undefined if it ended without a report */
async function runAlone(bench: string, { quick, seed }: BenchOptions): Promise<BenchReport | undefined> {
  const args = [bench, '--json', '--seed', String(seed), ...(quick ? ['--quick'] : [])];
  const child = spawn(process.execPath, [...process.execArgv, PROGRAM, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const passOn = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on('SIGINT', passOn).on('SIGTERM', passOn);
  let report: BenchReport | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith(`{"bench":"${bench}",`)) report = JSON.parse(line) as BenchReport;
    else console.log(line);
  }
  process.off('SIGINT', passOn).off('SIGTERM', passOn);
  return report;
}

function secondsSince(startedAtMs: number): number {
  return rounded((performance.now() - startedAtMs) / 1_000);
}
