import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CALLERS } from './callers.js';
import { Checker } from './checker.js';
import { reportExecutions } from './executions.js';
import { Injector } from './injector.js';
import { Installation } from './installation.js';
import { Ledger } from './ledger.js';
import { Load } from './load.js';
import { HELP, readOptions, UsageError, type Options } from './options.js';
import { jobsHandedInBetween, overtakings } from './outage.js';
import { recoveries } from './recovery.js';
import { evidenceOf, printReport, rowsOf, targetsOf, type Findings } from './report.js';
import { planFaults } from './schedule.js';

/** Before and after the outage of all nodes there is load for so long, in ms. */
const AROUND_OUTAGE_MS = 8_000;
/** A gateway has noticed that a node is down after this time: a few probes. */
const NOTICE_MS = 3_000;
/** A load that is to end with a number of jobs ends anyway after this many times the expected time. */
const PATIENCE = 4;
/** How long nodes may still be busy with second executions once every job has ended, in ms. */
const IDLE_LIMIT_MS = 30_000;
const PROGRESS_MS = 30_000;
/** Broken promises are printed in full up to this number. */
const MOST_EVIDENCE = 20;

/** `npm run test:chaos`: starts an installation, breaks it while it works, counts, and cleans up. */
async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options === 'help') {
    process.stdout.write(HELP);
    return 0;
  }
  const folder = await mkdtemp(join(tmpdir(), 'infernet-gateway-chaos-'));
  console.log(
    `seed ${options.seed}, ${options.replicas} gateways, ${options.nodes} nodes, queue on ${options.queue}; ${folder}`,
  );
  let isClean = false;
  try {
    const installation = await Installation.start(folder, options);
    try {
      const findings = await breakAndCount(installation, options);
      isClean = await tell(findings, installation, options);
    } finally {
      await installation.stop();
    }
  } finally {
    if (isClean && !options.keep) await rm(folder, { recursive: true, force: true });
    else console.error(`logs and ledger: ${folder}`);
  }
  return isClean ? 0 : 1;
}

async function breakAndCount(installation: Installation, options: Options): Promise<Findings> {
  const { seed, rate, jobs, replicas, nodes } = options;
  const clients = installation.replicas.map(({ client }) => client);
  const ledger = new Ledger(join(installation.folder, 'ledger.ndjson'), CALLERS);
  const load = new Load({ seed, rate, jobs }, ledger, clients);
  const checker = new Checker(ledger, clients, seed);
  const injector = new Injector(installation);
  const durationMs = jobs === undefined ? options.minutes * 60_000 : (jobs / rate) * 1_000;
  const plan = planFaults({ seed, durationMs, kinds: options.faults, replicas, nodes });

  const watching = checker.watch();
  const progress = setInterval(() => {
    const counts = `${ledger.acknowledged} acknowledged, ${ledger.unfinished.length} unfinished`;
    console.log(`${counts}, ${injector.injected.length} of ${plan.length} faults`);
  }, PROGRESS_MS);
  let outage: { downAt: number; upAt: number } | undefined;
  if (options.scenario === 'all-nodes-down') {
    outage = await outageOfAllNodes(injector, load, options);
  } else {
    const loadEnd = new AbortController();
    const faults = injector.follow(plan, loadEnd.signal);
    await load.run(jobs === undefined ? durationMs : durationMs * PATIENCE);
    loadEnd.abort();
    await faults;
  }
  console.log(`load ended: ${ledger.acknowledged} acknowledged, ${ledger.unfinished.length} unfinished`);
  await checker.settle(options.settleSeconds * 1_000);
  // A second execution of a job that has ended could still change its result.
  await installation.idle(IDLE_LIMIT_MS);
  checker.stop();
  clearInterval(progress);
  await watching;
  const missing = await checker.readAll();
  ledger.close();

  const { injected, remarks } = injector;
  const executions = await reportExecutions(ledger, installation.nodes, load.unacknowledged, injected);
  // Not broken promises, hence in no report; but whoever wants to know why needs the jobs and the times.
  const lines = [...injected, ...executions.repetitions].map((entry) => JSON.stringify(entry)).join('\n');
  await writeFile(join(installation.folder, 'faults-and-repetitions.ndjson'), lines);
  return {
    ledger,
    plan,
    injected,
    remarks,
    strikes: totalStrikes(installation),
    exits: [...installation.replicas, ...installation.nodes].flatMap(
      ({ process }) => process.unexpectedExits,
    ),
    refusals: load.refusals,
    givenUp: load.givenUp,
    unseen: checker.unseen,
    changed: checker.changed,
    wrong: checker.wrong,
    missing,
    oddAnswers: checker.oddAnswers,
    executions,
    recoveries: recoveries(ledger, injected),
    isAmbiguityRun: plan.length > 0 && options.faults.every((kind) => kind === 'drop-response'),
    outage: outage === undefined ? undefined : outageFindings(outage, installation, load, ledger),
  };
}

/** Every node dies at once and comes back later, while callers go on. */
async function outageOfAllNodes(
  injector: Injector,
  load: Load,
  { downSeconds }: Options,
): Promise<{ downAt: number; upAt: number }> {
  const downMs = downSeconds * 1_000;
  const running = load.run(2 * AROUND_OUTAGE_MS + downMs);
  await sleep(AROUND_OUTAGE_MS);
  const downAt = Date.now();
  await injector.takeAllNodesDown(downMs);
  await running;
  return { downAt, upAt: downAt + downMs };
}

/** What callers and nodes saw of the outage; to be asked when everything has been dispatched. */
function outageFindings(
  { downAt, upAt }: { downAt: number; upAt: number },
  { nodes }: Installation,
  { refusals }: Load,
  ledger: Ledger,
): NonNullable<Findings['outage']> {
  const relays = nodes.map(({ relay }) => relay);
  const jobs = jobsHandedInBetween(ledger, downAt + NOTICE_MS, upAt);
  return {
    accepted: jobs.length,
    refused: refusals.filter(({ at }) => at >= downAt && at <= upAt).length,
    overtakings: overtakings(jobs, relays),
  };
}

/** @returns whether every promise was kept */
async function tell(findings: Findings, installation: Installation, options: Options): Promise<boolean> {
  const [rows, targets] = [rowsOf(findings), targetsOf(findings)];
  console.log(`\n${printReport(rows, targets)}`);
  const evidence = [...evidenceOf(findings)];
  for (const [job, lines] of evidence.slice(0, MOST_EVIDENCE)) {
    console.log(`\n${job.id}\n  ${lines.join('\n  ')}`);
    for (const { client, process } of installation.replicas) {
      console.log(`  ${process.name} says: ${(await client.adminView(job.id)).slice(0, 2_000)}`);
    }
  }
  if (evidence.length > MOST_EVIDENCE) console.log(`\nand ${evidence.length - MOST_EVIDENCE} more jobs`);
  if (options.json) console.log(JSON.stringify({ bench: 'chaos', rows, targets }));
  return targets.every(({ ok }) => ok);
}

function totalStrikes(installation: Installation): Map<string, number> {
  const total = new Map<string, number>();
  for (const [fault, count] of installation.nodes.flatMap(({ relay }) => [...relay.strikes])) {
    total.set(fault, (total.get(fault) ?? 0) + count);
  }
  return total;
}

// Without these the default action would end this process before it has stopped the others in order; the reaper
// ends them at once when it notices.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    const isUsage = error instanceof UsageError;
    process.stderr.write(
      `${isUsage ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
    );
    process.exit(isUsage ? 2 : 1);
  },
);
