import { GatewayError } from '../errors.js';
import type { Commits } from '../persistence/commits.js';
import { inTime, LATE } from '../persistence/in-time.js';
import type { Refusal, Trip, TripOutcome } from './attempt-loop.js';
import type { Attempt, AttemptStore, NewJob } from './attempt-store.js';

/** What an application is told: its job is safe, or no node will have it. */
export type Submission =
  { readonly kind: 'acknowledged' } | { readonly kind: 'refused'; readonly refusal: Refusal };

export const ACKNOWLEDGED: Submission = { kind: 'acknowledged' };

/**
 * Commits a new job with its first attempt, if there is one. When this throws the application is told that its job was not
 * stored, so if it was all the same (the connection broke, or it came late), it is taken away again.
 * @param deadline on the clock of `Date.now()`
 * @returns as the store does
 * @throws GatewayError DATABASE_UNAVAILABLE after `deadline`; whatever the store throws
 */
export async function admitInTime(
  { store, commits }: { readonly store: Pick<AttemptStore, 'admit' | 'withdraw'>; readonly commits: Commits },
  job: NewJob,
  attempt: Attempt | undefined,
  deadline: number,
): Promise<boolean> {
  const admission = store.admit(job, attempt);
  try {
    const sent = await inTime(admission, deadline);
    if (sent !== LATE) return sent;
    throw new GatewayError('DATABASE_UNAVAILABLE', 'The database does not answer; the job was not stored');
  } catch (error) {
    const withdraw = (): Promise<void> => commits.commit(() => store.withdraw(job.id));
    admission.then(withdraw, withdraw).catch(() => undefined);
    throw error;
  }
}

/**
 * Answers when the trip is over or the time is up, whichever comes first. In the latter case the job counts as
 * acknowledged from then on, unless it is being taken away because no node will have it: that is the answer then.
 * @param deadline on the clock of `Date.now()`
 */
export function answerBy(trip: Trip, outcome: Promise<TripOutcome>, deadline: number): Promise<Submission> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      if (trip.refusal !== undefined) return resolve({ kind: 'refused', refusal: trip.refusal });
      trip.acknowledged = true;
      resolve(ACKNOWLEDGED);
    }, deadline - Date.now());
    outcome
      .then((end) => resolve(end.kind === 'refused' ? end : ACKNOWLEDGED), reject)
      .finally(() => clearTimeout(timer));
  });
}
