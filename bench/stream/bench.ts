import { performance } from 'node:perf_hooks';
import type { BenchOptions, BenchReport } from '../run.js';
import { atLeast, atMost, printTargets, type Target } from '../targets.js';
import { median } from '../numbers.js';
import { crowd, stream, type Seen, type Wish } from './caller.js';
import { install, type Installation } from './processes.js';

/**
 * What the relay costs, against the same node asked directly and through a bare pipe. Each side is a process of its own;
 * sides take turns, so that a busy moment of the machine meets all of them.
 */

const MB = 1_048_576;
/** Output at once: whatever the relay adds shows. */
const SHORT: Wish = { count: 1, size: 8, intervalMs: 0 };
/** A stream of a second. */
const SECOND: Wish = { count: 20, size: 8, intervalMs: 50 };
const LARGE: Wish = { count: 320, size: 65_536, intervalMs: 0 };
const LONG: Wish = { count: 20, size: 64, intervalMs: 500 };

interface Row {
  readonly what: string;
  readonly direct: number;
  readonly gateway: number;
  readonly unit: string;
}

/** Runs all measurements. */
export async function run({ quick }: BenchOptions): Promise<BenchReport> {
  const installation = await install();
  try {
    await warmUp(installation);
    const rows: Row[] = [];
    const targets: Target[] = [];
    const latency = (what: string, direct: readonly Seen[], gateway: readonly Seen[]): void => {
      for (const [name, pick, most] of [
        ['id line', (seen: Seen) => seen.idMs, 3],
        ['first output', (seen: Seen) => seen.firstOutputMs, 8],
      ] as const) {
        const before = median(direct.map(pick));
        const after = median(gateway.map(pick));
        rows.push({ what: `${name}, p50, ${what}`, direct: before, gateway: after, unit: 'ms' });
        targets.push(atMost(`${name} later than direct, ${what} (ms)`, after - before, most));
      }
    };
    latency('1 stream', ...(await oneByOne(installation, quick ? 60 : 300)));
    latency('100 at once', ...(await atOnce(installation, 100, quick ? 3_000 : 8_000)));

    const { pipe, gateway } = await throughput(installation, quick ? 5 : 15);
    rows.push({ what: '20 MB stream, beside a bare pipe', direct: pipe, gateway, unit: 'MB/s' });
    targets.push(atLeast('throughput, part of a bare pipe', gateway / pipe, 0.8));

    const held = await thousand(installation);
    rows.push({ what: '1,000 streams of 10 s, cut', direct: 0, gateway: held.cut, unit: '' });
    rows.push({
      what: '1,000 streams of 10 s, memory',
      direct: held.beforeMb,
      gateway: held.mostMb,
      unit: 'MB',
    });
    targets.push(atMost('streams cut of 1,000', held.cut, 0));
    targets.push(atMost('growth of RSS (MB)', held.mostMb - held.beforeMb, 200));
    print(rows, targets);
    return { rows, targets };
  } finally {
    await installation.stop();
  }
}

/** Compiled code, learned slots, open connections to the database. */
async function warmUp({ node, gateway, pipe }: Installation): Promise<void> {
  for (let count = 0; count < 100; count += 1) {
    for (const { url } of [node, gateway, pipe]) await stream(url, SHORT);
  }
  await crowd(gateway.url, SECOND, { count: 120, rampMs: 500, untilMs: 1_000 });
}

async function oneByOne({ node, gateway }: Installation, count: number): Promise<[Seen[], Seen[]]> {
  const direct: Seen[] = [];
  const relayed: Seen[] = [];
  for (let turn = 0; turn < count; turn += 1) {
    direct.push(await stream(node.url, SHORT));
    relayed.push(await stream(gateway.url, SHORT));
  }
  return [direct, relayed];
}

async function atOnce({ node, gateway }: Installation, count: number, ms: number): Promise<[Seen[], Seen[]]> {
  const direct: Seen[] = [];
  const relayed: Seen[] = [];
  for (let turn = 0; turn < 2; turn += 1) {
    const load = { count, rampMs: 1_000, untilMs: ms / 2 };
    direct.push(...(await crowd(node.url, SECOND, load)));
    relayed.push(...(await crowd(gateway.url, SECOND, load)));
  }
  return [direct, relayed];
}

async function throughput(
  { pipe, gateway }: Installation,
  count: number,
): Promise<{ pipe: number; gateway: number }> {
  const speeds = { pipe: [] as number[], gateway: [] as number[] };
  const measured = async (url: string): Promise<number> => {
    const { bytes, outputMs, clean } = await stream(url, LARGE);
    if (!clean) throw new Error('a large stream was cut');
    return bytes / MB / (outputMs / 1_000);
  };
  for (let turn = 0; turn < count; turn += 1) {
    speeds.pipe.push(await measured(pipe.url));
    speeds.gateway.push(await measured(gateway.url));
  }
  return { pipe: median(speeds.pipe), gateway: median(speeds.gateway) };
}

async function thousand({
  gateway,
}: Installation): Promise<{ cut: number; beforeMb: number; mostMb: number }> {
  const beforeMb = await gateway.rssMb();
  let mostMb = beforeMb;
  const watch = setInterval(() => {
    void gateway.rssMb().then((rss) => (mostMb = Math.max(mostMb, rss)));
  }, 100);
  const startedAt = performance.now();
  const seen = await crowd(gateway.url, LONG, { count: 1_000, rampMs: 6_000, untilMs: 0 });
  clearInterval(watch);
  console.log(`1,000 streams of 10 s took ${((performance.now() - startedAt) / 1_000).toFixed(1)} s in all`);
  return { cut: seen.filter(({ clean }) => !clean).length, beforeMb, mostMb };
}

function print(rows: readonly Row[], targets: readonly Target[]): void {
  console.log(`\n${''.padEnd(40)}${'direct'.padStart(10)}${'gateway'.padStart(10)}`);
  for (const { what, direct, gateway, unit } of rows) {
    const cells = [direct, gateway].map((value) => value.toFixed(1).padStart(10)).join('');
    console.log(`${what.padEnd(40)}${cells} ${unit}`);
  }
  printTargets(targets);
}
