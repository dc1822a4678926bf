import type { Violation } from './checker.js';
import type { ExecutionReport } from './executions.js';
import type { InjectedFault } from './injector.js';
import { ledgerLine, type Ledger, type LedgerJob } from './ledger.js';
import type { Refusal } from './load.js';
import type { Overtaking } from './outage.js';
import type { Recovery } from './recovery.js';
import { FAULT_KINDS, type PlannedFault } from './schedule.js';
import type { UnexpectedExit } from './supervised.js';
import { isMeantToFail } from './workload.js';

/** Everything that a run found out. */
export interface Findings {
  readonly ledger: Ledger;
  readonly plan: readonly PlannedFault[];
  readonly injected: readonly InjectedFault[];
  readonly strikes: ReadonlyMap<string, number>;
  readonly remarks: readonly string[];
  readonly exits: readonly UnexpectedExit[];
  readonly refusals: readonly Refusal[];
  readonly givenUp: number;
  readonly unseen: readonly Violation[];
  readonly changed: readonly Violation[];
  readonly wrong: readonly Violation[];
  /** Jobs that the last reading did not find. */
  readonly missing: readonly Violation[];
  readonly oddAnswers: ReadonlyMap<string, number>;
  readonly executions: ExecutionReport;
  readonly recoveries: readonly Recovery[];
  /** Only when responses were dropped and nothing else happened: then no job may run twice. */
  readonly isAmbiguityRun: boolean;
  /** Only in the scenario all-nodes-down. */
  readonly outage:
    | { readonly accepted: number; readonly refused: number; readonly overtakings: readonly Overtaking[] }
    | undefined;
}

/** A promise and whether it was kept. */
export interface Target {
  readonly name: string;
  readonly value: number;
  readonly target: number;
  readonly ok: boolean;
}

export interface Row {
  readonly name: string;
  readonly [column: string]: string | number | null;
}

/** Acknowledged jobs that have no result in the end, or that some replica does not know any more. */
export function lostJobs({ ledger, missing }: Findings): LedgerJob[] {
  return [...new Set([...ledger.unfinished, ...missing.map(({ job }) => job)])];
}

/** What a run must not do; the exit code depends on it. */
export function targetsOf(findings: Findings): Target[] {
  const { ledger, changed, wrong, unseen, executions, outage } = findings;
  const none = (name: string, value: number): Target => ({ name, value, target: 0, ok: value === 0 });
  const targets = [
    // Without a job nothing is proved.
    { name: 'acknowledged, at least', value: ledger.acknowledged, target: 1, ok: ledger.acknowledged > 0 },
    none('lost', lostJobs(findings).length),
    none('changed terminal result', countOfJobs(changed)),
    none('wrong output', countOfJobs(wrong)),
    none('not visible after acknowledgement', countOfJobs(unseen)),
    none('succeeded without an execution', executions.withoutExecution.length),
    none('ids acknowledged twice', ledger.repeatedIds.length),
  ];
  if (findings.isAmbiguityRun) targets.push(none('executed more than once', executions.repetitions.length));
  if (outage !== undefined) {
    const { accepted } = outage;
    targets.push({
      name: 'accepted while all nodes were down, at least',
      value: accepted,
      target: 1,
      ok: accepted > 0,
    });
    targets.push(none('submissions refused while all nodes were down', outage.refused));
    targets.push(none('dispatched out of order', outage.overtakings.length));
  }
  return targets;
}

/** The numbers of a run, one a row. */
export function rowsOf(findings: Findings): Row[] {
  const { ledger, executions, injected, plan, refusals, givenUp } = findings;
  const jobs = [...ledger.jobs.values()];
  const failed = jobs.filter(({ end }) => end?.status === 'failed');
  const value = (name: string, number: number): Row => ({ name, value: number });
  const share = jobs.length === 0 ? 0 : executions.repetitions.length / jobs.length;
  return [
    value('acknowledged', jobs.length),
    value('succeeded', jobs.filter(({ end }) => end?.status === 'success').length),
    value('failed, as the container does', failed.filter(({ work }) => isMeantToFail(work)).length),
    value('failed, though the container would not', failed.filter(({ work }) => !isMeantToFail(work)).length),
    ...tally(failed.map(({ end }) => `  ${end?.reason ?? 'without a reason'}`)),
    value('submissions not acknowledged', refusals.length),
    ...tally(refusals.map(({ what }) => `  ${what}`)).slice(0, 12),
    value('jobs given up by their caller', givenUp),
    {
      name: 'executed more than once',
      value: executions.repetitions.length,
      share: `${(share * 100).toFixed(3)} %`,
    },
    ...tally(executions.repetitions.map(({ cause }) => `  ${cause}`)),
    value('executions lost by a node that restarted', executions.lost),
    value('executions of jobs not acknowledged', executions.unacknowledged),
    value('executions of unknown jobs', executions.unknown),
    ...FAULT_KINDS.flatMap((kind) => {
      const planned = plan.filter((fault) => fault.kind === kind).length;
      if (planned === 0) return [];
      const strikes = findings.strikes.get(kind);
      return [
        {
          name: `fault ${kind}`,
          value: injected.filter((fault) => fault.kind === kind).length,
          planned,
          ...(strikes === undefined ? {} : { struck: strikes }),
        },
      ];
    }),
    ...findings.recoveries.map(({ kind, firstAck, backlog }) => ({
      name: `recovery from ${kind}, ms`,
      'first ack p50': firstAck?.p50 ?? null,
      'first ack max': firstAck?.max ?? null,
      'backlog p50': backlog?.p50 ?? null,
      'backlog max': backlog?.max ?? null,
    })),
    ...tally(findings.exits.map((exit) => `${exit.name} ended by itself while ${exit.while}: ${exit.how}`)),
    ...[...findings.oddAnswers].map(([what, count]) => value(`odd answer to reading: ${what}`, count)),
    ...tally(findings.remarks.map((remark) => `remark: ${remark}`)),
  ];
}

/** Rows and targets for people. */
export function printReport(rows: readonly Row[], targets: readonly Target[]): string {
  const line = ({ name, value, ...rest }: Row): string => {
    const columns = Object.entries(rest).map(([column, cell]) => `${column} ${cell ?? '-'}`);
    const cells = [...(value === undefined ? [] : [String(value)]), ...columns];
    return `${name.padEnd(56)} ${cells.join('   ')}`;
  };
  const verdicts = targets.map(
    ({ name, value, target, ok }) => `${ok ? 'ok    ' : 'BROKEN'} ${name}: ${value} (must be ${target})`,
  );
  return [...rows.map(line), '', ...verdicts].join('\n');
}

/** Every job with which a promise was broken: its line in the ledger and what was seen of it. */
export function evidenceOf(findings: Findings): Map<LedgerJob, string[]> {
  const evidence = new Map<LedgerJob, string[]>();
  const add = (job: LedgerJob, what: string): void => {
    evidence.set(job, [...(evidence.get(job) ?? [`ledger: ${ledgerLine(job)}`]), what]);
  };
  for (const job of findings.ledger.unfinished) add(job, 'lost: it has no result');
  const violations = {
    missing: findings.missing,
    changed: findings.changed,
    wrong: findings.wrong,
    unseen: findings.unseen,
  };
  for (const [kind, list] of Object.entries(violations)) {
    for (const { job, at, replica, what } of list) {
      add(job, `${kind}: ${what}, said replica ${replica + 1} at ${new Date(at).toISOString()}`);
    }
  }
  for (const job of findings.executions.withoutExecution) add(job, 'succeeded without an execution');
  if (findings.isAmbiguityRun) {
    for (const { job, executions } of findings.executions.repetitions)
      add(job, `executed: ${JSON.stringify(executions)}`);
  }
  for (const { job, overtaken, byMs } of findings.outage?.overtakings ?? []) {
    add(job, `went out ${byMs} ms before ${overtaken.id}, which had arrived earlier`);
  }
  return evidence;
}

function countOfJobs(violations: readonly Violation[]): number {
  return new Set(violations.map(({ job }) => job)).size;
}

function tally(words: readonly string[]): Row[] {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a).map(([name, value]) => ({ name, value }));
}
