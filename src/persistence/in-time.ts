/** What `inTime` gives when the time is up. */
export const LATE = Symbol('late');

/**
 * What comes of a promise, if that is known by the deadline; else `LATE`, and the promise goes on behind.
 * @param deadline on the clock of `Date.now()`
 * @throws what the promise does, in time
 */
export function inTime<T>(promise: Promise<T>, deadline: number): Promise<T | typeof LATE> {
  return new Promise((resolve, reject) => {
    // A timer that an AbortSignal ends costs as much as all the rest of a submission's dispatch.
    const timer = setTimeout(() => resolve(LATE), deadline - Date.now());
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
