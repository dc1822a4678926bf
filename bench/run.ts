import { parseArgs } from 'node:util';
import { runAll } from './all.js';
import type { Target } from './targets.js';

/** A benchmark: prints a table, and with `json` one object as the last line. */
export interface Bench {
  run(options: BenchOptions): Promise<BenchReport> | BenchReport;
}

export interface BenchOptions {
  /** Fewer repetitions, for a first look. */
  readonly quick: boolean;
  readonly seed: number;
  /** Where profiles of the gateway are to go, from benchmarks that can take some; unset: none are taken. */
  readonly profileDir?: string | undefined;
  /** How long a benchmark of steady load goes on; default its own. */
  readonly minutes?: number | undefined;
}

export interface BenchReport {
  readonly rows: readonly unknown[];
  readonly targets: readonly Target[];
}

/** Each benchmark by name: what it measures, and how it is loaded. */
const BENCHES: Readonly<Record<string, { about: string; load: () => Promise<Bench> }>> = {
  dispatch: {
    about: 'the dispatch policy under virtual time, against an omniscient bound and other policies',
    load: () => import('./dispatch/bench.js'),
  },
  fleet: {
    about:
      'a burst through a whole gateway, against what the slots of its nodes allow; other policies beside it',
    load: () => import('./fleet.js'),
  },
  latency: {
    about: 'how soon results are with their callers, beside a caller of the node who asks each second',
    load: () => import('./latency.js'),
  },
  limits: {
    about: 'jobs a minute from three nodes at their default rate limits, and how many requests those refuse',
    load: () => import('./limits.js'),
  },
  scale: {
    about: 'what a job costs with up to 1,000 nodes and 100,000 waiting jobs, and what memory is kept',
    load: () => import('./scale/bench.js'),
  },
  soak: {
    about:
      'whether memory, event loop, connections and tables stay as they are under steady load for minutes',
    load: () => import('./soak.js'),
  },
  stall: {
    about: 'what the gateway adds to one POST where nodes stall on reused connections',
    load: () => import('./stall.js'),
  },
  results: {
    about: 'what reading results costs with up to a million jobs, beside a bare server with the same query',
    load: () => import('./results/bench.js'),
  },
  submit: {
    about: 'what a durable submission costs, beside nginx, a bare proxy and PostgreSQL alone',
    load: () => import('./submit/bench.js'),
  },
  stream: {
    about: 'what relaying a stream costs: latency, throughput and memory, in real processes',
    load: () => import('./stream/bench.js'),
  },
};

/** Not a benchmark of its own. */
const ALL = 'all';

const HELP = `Usage: npm run bench -- <name> [--quick] [--json] [--seed N] [--minutes N] [--profile FOLDER]

${Object.entries(BENCHES)
  .map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`)
  .join('\n')}
  ${ALL.padEnd(10)} one after another, with the targets of all in one table

  --quick    fewer repetitions
  --json     the last line is one JSON object: {"bench","rows","targets"}
  --seed N   where random numbers start (default 1); the same seed gives the same results
  --minutes N  how long soak goes on (default 15)
  --profile FOLDER  submit and results: profile the gateway once more at the end, and say where its time goes
  --help     this text

Exit code: 0 if all targets are met, 1 if not, 2 if the call is wrong.`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      seed: { type: 'string', default: '1' },
      minutes: { type: 'string' },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const [name] = positionals;
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const bench = name === undefined ? undefined : BENCHES[name];
  if (name === undefined || (bench === undefined && name !== ALL) || positionals.length > 1) {
    console.error(
      name === undefined ? HELP : `There is no benchmark "${positionals.join(' ')}".${suggestion(name)}`,
    );
    return 2;
  }
  if (!/^\d+$/.test(values.seed)) {
    console.error(`--seed must be a whole number, got "${values.seed}"`);
    return 2;
  }
  const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
  if (minutes !== undefined && !(minutes > 0)) {
    console.error(`--minutes must be a number above 0, got "${values.minutes}"`);
    return 2;
  }
  const options = { quick: values.quick, seed: Number(values.seed), minutes, profileDir: values.profile };
  const report =
    bench === undefined
      ? await runAll(Object.keys(BENCHES), options)
      : await (await bench.load()).run(options);
  const missed = report.targets.filter(({ ok }) => !ok);
  console.log(
    missed.length === 0
      ? `\nAll ${report.targets.length} targets are met.`
      : `\n${missed.length} of ${report.targets.length} targets are missed: ${missed.map(({ name: what }) => what).join('; ')}`,
  );
  if (values.json) console.log(JSON.stringify({ bench: name, ...report }));
  return missed.length === 0 ? 0 : 1;
}

/** The known name that shares most of its letters' pairs with what was typed. */
function suggestion(typed: string): string {
  const names = [...Object.keys(BENCHES), ALL];
  const pairs = (text: string): string[] =>
    Array.from({ length: text.length }, (_none, i) => text.slice(i, i + 2));
  const likeness = (name: string): number => pairs(name).filter((pair) => pairs(typed).includes(pair)).length;
  const best = names.reduce((a, b) => (likeness(b) > likeness(a) ? b : a));
  return likeness(best) > 0 ? ` Did you mean "${best}"?` : ` There are: ${names.join(', ')}.`;
}

try {
  process.exitCode = await main();
} catch (error) {
  const wrongCall =
    error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
  console.error(wrongCall ? `${error.message}\n\n${HELP}` : error);
  process.exitCode = wrongCall ? 2 : 1;
}
