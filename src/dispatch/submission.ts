import type { Refusal, Trip, TripOutcome } from './attempt-loop.js';

/** What an application is told: its job is safe, or no node will have it. */
export type Submission =
  { readonly kind: 'acknowledged' } | { readonly kind: 'refused'; readonly refusal: Refusal };

export const ACKNOWLEDGED: Submission = { kind: 'acknowledged' };

/**
 * @param deadline on the clock of `Date.now()`
 * @returns what the admission came to; undefined if it takes longer than that
 * @throws what the admission does, in time
 */
export function knownBy(admission: Promise<boolean>, deadline: number): Promise<boolean | undefined> {
  return new Promise((resolve, reject) => {
    // A timer that an AbortSignal ends costs as much as all the rest of a submission's dispatch.
    const timer = setTimeout(() => resolve(undefined), deadline - Date.now());
    admission.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/**
 * Answers when the trip is over or the time is up, whichever comes first; in the latter case the job counts as
 * acknowledged from then on.
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
