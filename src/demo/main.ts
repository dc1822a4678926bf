import { readSettings } from '../config/settings.js';
import { Application, rowsOf } from './application.js';
import { runBurst } from './burst.js';
import { demoOptions, HELP, UsageError } from './command-line.js';
import { printAddresses, printReport } from './report.js';
import { playScenario } from './scenario.js';
import { portToUse, setStage, type Stage } from './stage.js';
import { milliseconds, Terminal } from './terminal.js';

const BURST_JOBS = 300;
const LEFT_OVER_WAIT_MS = 20_000;
const SHOWN_FINDINGS = 10;
const INTERRUPTED = 130;

/** `npm run demo`: a gateway, three emulated nodes and an application, until Ctrl-C. */
async function main(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<void> {
  const options = demoOptions(args);
  if (options === 'help') {
    process.stdout.write(HELP);
    return;
  }
  const terminal = new Terminal(process.stdout, environment['TERM']);
  terminal.line(terminal.style('bold', 'infernet-gateway demo: one endpoint in front of three nodes'));
  let exitCode = INTERRUPTED;
  const starting = openStage(terminal, environment);
  const interruption = new Interruption(terminal, starting, () => exitCode);
  const stage = await interruption.guard(starting);
  const findings = await interruption.guard(play(stage, terminal, interruption.signal));
  printAddresses(terminal, stage.gateway, stage.actors);
  printVerdict(terminal, findings);
  exitCode = findings.length === 0 ? 0 : 1;
  if (!options.once) {
    terminal.line(terminal.style('dim', '  The gateway and its nodes keep running; Ctrl-C ends them.'));
    return;
  }
  await stage.stop();
  process.exit(exitCode);
}

async function openStage(terminal: Terminal, environment: NodeJS.ProcessEnv): Promise<Stage> {
  const startedAt = performance.now();
  const ours = { HOST: '127.0.0.1', DATA_DIR: '.data/demo', LOG_LEVEL: 'silent', ...environment };
  const wanted = readSettings(ours);
  const port = await portToUse(wanted.port, wanted.host);
  terminal.heading('Start');
  if (port !== wanted.port) terminal.bad(`port ${wanted.port} is taken; the gateway listens on a free one`);
  const stage = await setStage(readSettings({ ...ours, PORT: String(port) }));
  const database = wanted.databaseUrl === undefined ? `PostgreSQL in ${wanted.dataDir}` : 'DATABASE_URL';
  const took = milliseconds(performance.now() - startedAt);
  terminal.good(`gateway at ${stage.gateway.url}, with ${database}; everything started in ${took}`);
  for (const { name, speed, slots, node } of stage.actors) {
    terminal.good(`node ${name.padEnd(6)} at ${node.url}: speed x${speed}, ${slots} slots`);
  }
  if (stage.others > 0) terminal.bad(`${stage.others} other registered nodes take part as well`);
  return stage;
}

/** Everything there is to see; returns what was wrong. */
async function play(stage: Stage, terminal: Terminal, signal: AbortSignal): Promise<string[]> {
  const application = new Application(stage.gateway.url, {}, signal);
  const findings: string[] = [];
  if (stage.leftOver.length > 0) await finishLeftOver(stage.leftOver, application, terminal, findings);

  terminal.heading('What an application sends, and what it gets');
  const scenarioIds = await playScenario(application, terminal, findings);

  terminal.heading(`${BURST_JOBS} more jobs`);
  const since = Date.now();
  terminal.progress(0, BURST_JOBS, 'done');
  const burst = await runBurst(application, BURST_JOBS, findings, (done) =>
    terminal.progress(done, BURST_JOBS, 'done'),
  );
  printReport(terminal, stage.actors, since, burst);

  const listed = new Set((await application.ids()).received as string[]);
  const missing = [...scenarioIds, ...burst.ids].filter((id) => !listed.has(id)).length;
  if (missing > 0) findings.push(`${missing} ids are missing from the list of all jobs`);
  return findings;
}

/** An interrupted run leaves jobs behind; they survive, and are waited for so that they do not blur this run. */
async function finishLeftOver(
  ids: readonly string[],
  application: Application,
  terminal: Terminal,
  findings: string[],
): Promise<void> {
  const rows = rowsOf(await application.waitFor(ids, LEFT_OVER_WAIT_MS));
  const finished = rows.filter((row) => row.status !== 'running').length;
  terminal.good(`finished ${finished} jobs that an interrupted run had left behind`);
  if (finished < ids.length) findings.push(`${ids.length - finished} jobs of an interrupted run do not end`);
}

function printVerdict(terminal: Terminal, findings: readonly string[]): void {
  terminal.line();
  if (findings.length === 0) terminal.good('every job came back with the right output, every id is listed');
  for (const finding of findings.slice(0, SHOWN_FINDINGS)) terminal.bad(finding);
  const more = findings.length - SHOWN_FINDINGS;
  if (more > 0) terminal.bad(`and ${more} more`);
}

/** Ends the process on a signal: the first one stops everything in order, a second one does not wait. */
class Interruption {
  private readonly abort = new AbortController();

  constructor(
    private readonly terminal: Terminal,
    private readonly stage: Promise<Stage>,
    private readonly exitCode: () => number,
  ) {
    process.on('SIGINT', () => void this.onSignal());
    process.on('SIGTERM', () => void this.onSignal());
  }

  /** Aborted by the first signal. */
  get signal(): AbortSignal {
    return this.abort.signal;
  }

  /** The result of some work; after a signal it never comes, however the work breaks off. */
  async guard<Result>(work: Promise<Result>): Promise<Result> {
    const settled = await Promise.allSettled([work]);
    if (this.signal.aborted) return new Promise(() => undefined);
    const [outcome] = settled;
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  }

  private async onSignal(): Promise<void> {
    if (this.signal.aborted) process.exit(1);
    this.terminal.line();
    this.terminal.close('  Stopping ...');
    this.abort.abort();
    try {
      await (await this.stage).stop();
    } finally {
      process.exit(this.exitCode());
    }
  }
}

main(process.argv.slice(2), process.env).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(error instanceof UsageError ? 2 : 1);
});
