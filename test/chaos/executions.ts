import { readFile } from 'node:fs/promises';
import type { Execution } from '../../src/emulator/execution-log.js';
import type { InjectedFault } from './injector.js';
import type { NodePlace } from './installation.js';
import type { Ledger, LedgerJob } from './ledger.js';
import { FAULTS } from './schedule.js';

/** A job of which a container finished more than once. */
export interface Repetition {
  readonly job: LedgerJob;
  readonly executions: readonly Execution[];
  /** The kind of fault that explains it, or `no fault near it`. */
  readonly cause: string;
}

export interface ExecutionReport {
  readonly repetitions: readonly Repetition[];
  /** Executions that a node began and lost with its restart. Those of a killed node leave no trace. */
  readonly lost: number;
  /** Finished executions of jobs that were handed in and not acknowledged. */
  readonly unacknowledged: number;
  /** Finished executions that belong to no job of the load; above 0 the other numbers here mean little. */
  readonly unknown: number;
  /** Jobs that succeeded and that no node has executed; a gateway must not make results up. */
  readonly withoutExecution: readonly LedgerJob[];
}

/** What a fault does goes on for a while after it: timeouts run out, nodes are asked again. */
const AFTERMATH_MS = 10_000;

/**
 * Reads the nodes' own logs of what they executed and counts per job. The relays know which job bore which id on
 * which node, since every attempt has an id of its own.
 */
export async function reportExecutions(
  ledger: Ledger,
  nodes: readonly NodePlace[],
  unacknowledged: ReadonlySet<string>,
  faults: readonly InjectedFault[],
): Promise<ExecutionReport> {
  const keyOf = new Map(
    nodes.flatMap(({ relay }) => [...relay.sightings.values()]).map((seen) => [seen.nodeJobId, seen.key]),
  );
  const executions = (await Promise.all(nodes.map(({ executionLog }) => readLog(executionLog)))).flat();
  const byKey = new Map<string, Execution[]>();
  const counts = { lost: 0, unacknowledged: 0, unknown: 0 };
  const acknowledged = new Set([...ledger.jobs.values()].map(({ work }) => work.key));
  for (const execution of executions) {
    const key = keyOf.get(execution.jobId) ?? '';
    if (execution.outcome === 'lost') counts.lost += 1;
    else if (acknowledged.has(key)) byKey.set(key, [...(byKey.get(key) ?? []), execution]);
    else if (unacknowledged.has(key)) counts.unacknowledged += 1;
    else counts.unknown += 1;
  }
  const numberOf = new Map(nodes.map(({ name }, index) => [name, index]));
  const repetitions = [...ledger.jobs.values()].flatMap((job) => {
    const repeated = repeatedStep(byKey.get(job.work.key) ?? []);
    return repeated === undefined
      ? []
      : [{ job, executions: repeated, cause: causeOf(repeated, faults, numberOf) }];
  });
  const withoutExecution = [...ledger.jobs.values()].filter(
    (job) => job.end?.status === 'success' && !byKey.has(job.work.key),
  );
  return { repetitions, withoutExecution, ...counts };
}

/** The last line of a killed node may be cut short. */
async function readLog(path: string): Promise<Execution[]> {
  const lines = (await readFile(path, 'utf8').catch(() => '')).split('\n');
  return lines.flatMap((line) => {
    try {
      return [JSON.parse(line) as Execution];
    } catch {
      return [];
    }
  });
}

/** The executions of the first container that finished more than once, in order of their start. */
function repeatedStep(executions: readonly Execution[]): Execution[] | undefined {
  const byContainer = new Map<string, Execution[]>();
  for (const execution of executions) {
    byContainer.set(execution.container, [...(byContainer.get(execution.container) ?? []), execution]);
  }
  const repeated = [...byContainer.values()].find((group) => group.length > 1);
  return repeated?.sort((a, b) => a.startedAt - b.startedAt);
}

/**
 * The fault to blame for the second execution: one that was under way, or had just ended, between the start of the
 * first and the start of the second. The death of the first node goes before a fault of its link, because it takes
 * the result along, and both go before faults that concern all nodes; among equals the last to begin counts.
 */
function causeOf(
  [first, second]: readonly Execution[],
  faults: readonly InjectedFault[],
  numberOf: ReadonlyMap<string, number>,
): string {
  if (first === undefined || second === undefined) return 'no fault near it';
  const near = faults.filter(
    ({ at, until }) => at <= second.startedAt && until + AFTERMATH_MS >= first.startedAt,
  );
  const onFirst = near.filter(({ target }) => target === numberOf.get(first.node));
  const ofNode = onFirst.filter(({ kind, until }) => FAULTS[kind].on === 'node' && until >= first.startedAt);
  const ofLink = onFirst.filter(({ kind }) => FAULTS[kind].on === 'link');
  const ofAll = near.filter(({ kind }) => !['node', 'link'].includes(FAULTS[kind].on));
  return (ofNode.at(-1) ?? ofLink.at(-1) ?? ofAll.at(-1))?.kind ?? 'no fault near it';
}
