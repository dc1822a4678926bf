import type { InjectedFault } from './injector.js';
import type { Ledger } from './ledger.js';
import { FAULT_KINDS, type FaultKind } from './schedule.js';

/** How long the installation took to get over faults of one kind, in ms from their beginning. */
export interface Recovery {
  readonly kind: FaultKind;
  readonly count: number;
  /** Until a submission that began after the fault was acknowledged. */
  readonly firstAck: Spread | undefined;
  /** Until every job that was acknowledged before the fault, and unfinished then, was seen to have ended. */
  readonly backlog: Spread | undefined;
}

export interface Spread {
  readonly p50: number;
  readonly max: number;
}

/** The recovery from each kind of fault that struck. Where faults overlap, each waits for all of them. */
export function recoveries(ledger: Ledger, faults: readonly InjectedFault[]): Recovery[] {
  const jobs = [...ledger.jobs.values()];
  const bySending = jobs.toSorted((a, b) => a.sentAt - b.sentAt);
  const firstAckAfter = (at: number): number | undefined => {
    // Among submissions sent within the client's patience of the first one, the earliest answer counts.
    const first = bySending.findIndex(({ sentAt }) => sentAt >= at);
    if (first === -1) return undefined;
    return Math.min(...bySending.slice(first, first + 500).map(({ ackedAt }) => ackedAt)) - at;
  };
  const backlogAfter = (at: number): number | undefined => {
    const ends = jobs.filter(({ ackedAt, end }) => ackedAt <= at && (end === undefined || end.at > at));
    if (ends.length === 0 || ends.some(({ end }) => end === undefined)) return undefined;
    return ends.reduce((last, { end }) => Math.max(last, (end?.at ?? at) - at), 0);
  };
  return FAULT_KINDS.flatMap((kind) => {
    const starts = faults.filter((fault) => fault.kind === kind).map(({ at }) => at);
    if (starts.length === 0) return [];
    return [
      {
        kind,
        count: starts.length,
        firstAck: spread(starts.map(firstAckAfter)),
        backlog: spread(starts.map(backlogAfter)),
      },
    ];
  });
}

/** Undefined values are those that cannot be told, as when the load ended with the fault. */
function spread(values: readonly (number | undefined)[]): Spread | undefined {
  const known = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  if (known.length === 0) return undefined;
  return { p50: known[Math.floor((known.length - 1) / 2)] ?? 0, max: known.at(-1) ?? 0 };
}
