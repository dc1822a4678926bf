import { parseArgs } from 'node:util';
import { hasTool } from '../support/requirements.js';
import { FAULT_KINDS, FAULTS, type FaultKind } from './schedule.js';

/** What a run does; see {@link HELP}. */
export interface Options {
  readonly minutes: number;
  /** The load ends after so many acknowledged jobs. */
  readonly jobs: number | undefined;
  readonly seed: number;
  /** Jobs handed in each second. */
  readonly rate: number;
  readonly replicas: number;
  readonly nodes: number;
  readonly slots: number;
  readonly queue: 'redis' | 'postgres';
  readonly faults: readonly FaultKind[];
  readonly scenario: 'faults' | 'all-nodes-down';
  readonly downSeconds: number;
  readonly settleSeconds: number;
  readonly dist: string;
  readonly json: boolean;
  readonly keep: boolean;
}

export const HELP = `Breaks a whole installation on purpose and counts what it cost. See docs/chaos.md.

npm run test:chaos -- [options]

  --minutes N        length of the load (default 1)
  --jobs N           end the load after N acknowledged jobs instead
  --seed S           seed of the schedule and of the load (default 1)
  --rate N           jobs handed in each second (default 40)
  --replicas N       gateways (default 2)
  --nodes N          emulated nodes (default 4)
  --slots N          executions at a time on each node (default 4)
  --queue STORE      redis or postgres (default redis where redis-server is installed)
  --faults A,B       only these kinds, or none; default all:
                     ${wrapped(FAULT_KINDS, 21)}
  --scenario NAME    faults (default), or all-nodes-down: every node is away for a while, nothing else
  --down-seconds N   for all-nodes-down (default 60)
  --settle-seconds N how long jobs may take to end once everything is healthy again (default 300)
  --dist DIR         the built gateway (default dist)
  --keep             keep the folder with logs and ledger also when all is well
  --json             the last line of the output is one JSON object
  --help             this text

Exit code: 0 all promises held, 1 one was broken, 2 the command line is wrong.
`;

/** A command line that cannot be followed; the message is for the person who typed it. */
export class UsageError extends Error {}

/**
 * Reads the command line.
 * @returns 'help' when asked for it
 * @throws UsageError
 */
export function readOptions(args: readonly string[]): Options | 'help' {
  const values = parsed(args);
  if (values.help === true) return 'help';
  const queue = queueOf(values.queue);
  const scenario = oneOf('scenario', values.scenario ?? 'faults', ['faults', 'all-nodes-down'] as const);
  if (scenario !== 'faults' && values.faults !== undefined) {
    throw new UsageError('--faults: the scenario all-nodes-down has no other faults');
  }
  const whole = { min: 1, integer: true };
  return {
    minutes: number('minutes', values.minutes ?? '1', { min: 0.1 }),
    jobs: values.jobs === undefined ? undefined : number('jobs', values.jobs, whole),
    seed: number('seed', values.seed ?? '1', { min: 0, integer: true }),
    rate: number('rate', values.rate ?? '40', { min: 0.1 }),
    replicas: number('replicas', values.replicas ?? '2', whole),
    nodes: number('nodes', values.nodes ?? '4', whole),
    slots: number('slots', values.slots ?? '4', whole),
    queue,
    faults: scenario === 'faults' ? faultsOf(values.faults, queue) : [],
    scenario,
    downSeconds: number('down-seconds', values['down-seconds'] ?? '60', { min: 1 }),
    settleSeconds: number('settle-seconds', values['settle-seconds'] ?? '300', { min: 1 }),
    dist: values.dist ?? 'dist',
    json: values.json ?? false,
    keep: values.keep ?? false,
  };
}

function parsed(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        minutes: text,
        jobs: text,
        seed: text,
        rate: text,
        replicas: text,
        nodes: text,
        slots: text,
        queue: text,
        faults: text,
        scenario: text,
        'down-seconds': text,
        'settle-seconds': text,
        dist: text,
        keep: flag,
        json: flag,
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

function queueOf(text: string | undefined): 'redis' | 'postgres' {
  if (text === undefined) return hasTool('redis-server', 'the queue on Redis') ? 'redis' : 'postgres';
  const queue = oneOf('queue', text, ['redis', 'postgres'] as const);
  if (queue === 'redis' && !hasTool('redis-server', 'the queue on Redis')) {
    throw new UsageError('--queue redis: redis-server is not installed');
  }
  return queue;
}

function faultsOf(text: string | undefined, queue: 'redis' | 'postgres'): FaultKind[] {
  const possible = FAULT_KINDS.filter((kind) => queue === 'redis' || FAULTS[kind].on !== 'redis');
  if (text === undefined) return possible;
  if (text === 'none') return [];
  return text.split(',').map((kind) => oneOf('faults', kind.trim(), possible));
}

function oneOf<Word extends string>(name: string, text: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === text);
  if (found !== undefined) return found;
  throw new UsageError(`--${name}: ${words.join(', ')} expected, got "${text}"`);
}

function number(name: string, text: string, range: { min: number; integer?: boolean }): number {
  const value = Number(text);
  const isWrongKind = text.trim() === '' || !Number.isFinite(value);
  if (isWrongKind || value < range.min || (range.integer === true && !Number.isInteger(value))) {
    const kind = range.integer === true ? 'a whole number' : 'a number';
    throw new UsageError(`--${name}: ${kind} of at least ${range.min} expected, got "${text}"`);
  }
  return value;
}

function wrapped(words: readonly string[], indent: number): string {
  const lines: string[] = [];
  for (let first = 0; first < words.length; first += 5) lines.push(words.slice(first, first + 5).join(', '));
  return lines.join(`,\n${' '.repeat(indent)}`);
}
