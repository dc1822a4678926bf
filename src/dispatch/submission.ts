import type { Refusal, Trip, TripOutcome } from './attempt-loop.js';

/** What an application is told: its job is safe, or no node will have it. */
export type Submission =
  { readonly kind: 'acknowledged' } | { readonly kind: 'refused'; readonly refusal: Refusal };

export const ACKNOWLEDGED: Submission = { kind: 'acknowledged' };

/**
 * Answers when the trip is over or the time is up, whichever comes first; in the latter case the job counts as
 * acknowledged from then on.
 * @param deadline on the clock of `Date.now()`
 */
export function answerBy(trip: Trip, outcome: Promise<TripOutcome>, deadline: number): Promise<Submission> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      if (trip.withdrawn) return;
      trip.acknowledged = true;
      resolve(ACKNOWLEDGED);
    }, deadline - Date.now());
    outcome
      .then((end) => resolve(end.kind === 'refused' ? end : ACKNOWLEDGED), reject)
      .finally(() => clearTimeout(timer));
  });
}
