import { Caller } from './live/caller.js';
import { withInstallation } from './live/installation.js';
import { median, quantile, rounded } from './numbers.js';
import type { BenchOptions, BenchReport } from './run.js';
import { atMost, type Target } from './targets.js';

/**
 * What the gateway adds to one sequential `POST /api/jobs` against a node that stalls 44 ms on each reused connection, as
 * the reference node does (docs/protocol.md §6.3). A caller that opens a connection for each call, like the official
 * client, asks the node itself and the gateway in turns, so that whatever else the machine does hits both. The gateway
 * commits each job with fsync before it answers.
 */
const STALL_MS = 44;
const MOST_ADDED_MS = 5;
const JOB = { containers: ['echo'], data: { prompt: 'how do I make pizza?' } };
const WARM_UP = 50;
/** The order of the two changes with each pair; so many pairs make a round, and each round gives a median. */
const ROUNDS = { full: 5, quick: 3 };
const PAIRS = { full: 400, quick: 200 };

interface Row {
  readonly round: number;
  readonly directMs: number;
  readonly gatewayMs: number;
  readonly keptMs: number;
  readonly addedMs: number;
  readonly directP99Ms: number;
  readonly gatewayP99Ms: number;
}

export async function run({ quick }: BenchOptions): Promise<BenchReport> {
  const nodes = [['--containers', 'echo', '--rate-limit', 'off', '--stall-reused-ms', String(STALL_MS)]];
  const rows = await withInstallation({ nodes }, async ({ url, nodes: [node] }) => {
    const direct = new Caller(node?.url ?? '', { keepsConnections: false });
    const gateway = new Caller(url, { keepsConnections: false });
    const kept = new Caller(url, { keepsConnections: true });
    for (let n = 0; n < WARM_UP; n += 1)
      await Promise.all([direct.submit(JOB), gateway.submit(JOB), kept.submit(JOB)]);
    console.log('one sequential POST /api/jobs, ms; "kept": over a kept connection to the gateway\n');
    console.log('round   direct p50   gateway p50   added   kept p50   direct p99   gateway p99');
    const measured: Row[] = [];
    for (let round = 1; round <= (quick ? ROUNDS.quick : ROUNDS.full); round += 1) {
      const row = await measure(round, quick ? PAIRS.quick : PAIRS.full, { direct, gateway, kept });
      measured.push(row);
      const { directMs, gatewayMs, addedMs, keptMs, directP99Ms, gatewayP99Ms } = row;
      const cells = [directMs, gatewayMs, addedMs, keptMs, directP99Ms, gatewayP99Ms];
      const widths = [12, 13, 7, 10, 12, 13];
      console.log(
        [
          String(round).padStart(5),
          ...cells.map((ms, index) => ms.toFixed(2).padStart(widths[index] ?? 0)),
        ].join(' '),
      );
    }
    kept.close();
    return measured;
  });
  return { rows, targets: [target(rows)] };
}

function target(rows: readonly Row[]): Target {
  const name = 'ms that the gateway adds to the p50 of one sequential POST, median of the rounds';
  return atMost(name, median(rows.map(({ addedMs }) => addedMs)), MOST_ADDED_MS);
}

async function measure(
  round: number,
  pairs: number,
  { direct, gateway, kept }: Readonly<Record<'direct' | 'gateway' | 'kept', Caller>>,
): Promise<Row> {
  const took = { direct: [] as number[], gateway: [] as number[], kept: [] as number[] };
  for (let pair = 0; pair < pairs; pair += 1) {
    const turns = pair % 2 === 0 ? (['direct', 'gateway'] as const) : (['gateway', 'direct'] as const);
    for (const turn of turns) took[turn].push(await (turn === 'direct' ? direct : gateway).submit(JOB));
    took.kept.push(await kept.submit(JOB));
  }
  const directMs = median(took.direct);
  const gatewayMs = median(took.gateway);
  return {
    round,
    directMs: rounded(directMs),
    gatewayMs: rounded(gatewayMs),
    keptMs: rounded(median(took.kept)),
    addedMs: rounded(gatewayMs - directMs),
    directP99Ms: rounded(quantile(took.direct, 0.99)),
    gatewayP99Ms: rounded(quantile(took.gateway, 0.99)),
  };
}
