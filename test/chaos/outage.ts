import type { Ledger, LedgerJob } from './ledger.js';
import type { Relay } from './relay.js';

/** A job that went out before one that had arrived earlier. */
export interface Overtaking {
  readonly job: LedgerJob;
  readonly overtaken: LedgerJob;
  /** How much earlier it went out, in ms. */
  readonly byMs: number;
}

/** Sends that overlap have no order; one of them takes about this long, in ms. */
const CONCURRENCY_MS = 250;

/** Acknowledged jobs that were handed in, and acknowledged, within a time. */
export function jobsHandedInBetween(ledger: Ledger, from: number, until: number): LedgerJob[] {
  return [...ledger.jobs.values()].filter(({ sentAt, ackedAt }) => sentAt >= from && ackedAt <= until);
}

/**
 * Those of the jobs that were dispatched out of their order of arrival. Two jobs have an order when they go to the
 * same container and one was acknowledged before the other was sent; they went out of order when the later one passed
 * its relay clearly before the other.
 *
 * @param jobs handed in while nothing could be dispatched
 */
export function overtakings(
  jobs: readonly LedgerJob[],
  relays: readonly Pick<Relay, 'sightings'>[],
): Overtaking[] {
  const sentOutAt = new Map<string, number>();
  for (const { key, at } of relays.flatMap(({ sightings }) => [...sightings.values()])) {
    sentOutAt.set(key, Math.min(at, sentOutAt.get(key) ?? Infinity));
  }
  const byContainers = new Map<string, LedgerJob[]>();
  for (const job of jobs) {
    const name = job.work.containers.join();
    byContainers.set(name, [...(byContainers.get(name) ?? []), job]);
  }
  const outAt = (job: LedgerJob): number => sentOutAt.get(job.work.key) ?? Infinity;
  return [...byContainers.values()].flatMap((group) => {
    const byAck = group.toSorted((a, b) => a.ackedAt - b.ackedAt);
    const bySending = group.toSorted((a, b) => a.sentAt - b.sentAt);
    const found: Overtaking[] = [];
    let acked = 0;
    // Of all jobs acknowledged before the one looked at, the one that went out last.
    let latest: LedgerJob | undefined;
    for (const job of bySending) {
      for (
        let other = byAck[acked];
        other !== undefined && other.ackedAt < job.sentAt;
        other = byAck[acked]
      ) {
        if (latest === undefined || outAt(other) > outAt(latest)) latest = other;
        acked += 1;
      }
      const byMs = latest === undefined ? 0 : outAt(latest) - outAt(job);
      if (latest !== undefined && byMs > CONCURRENCY_MS) found.push({ job, overtaken: latest, byMs });
    }
    return found;
  });
}
