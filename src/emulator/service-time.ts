/**
 * How long a container works on one input: always the same number of milliseconds, or an exponential
 * distribution with the given mean. `seed` (default 1) makes the drawn times repeatable.
 */
export type ServiceTime = number | { readonly meanMs: number; readonly seed?: number };

/** A source of service times in milliseconds, one for each call. */
export type ServiceTimes = () => number;

/**
 * @returns the times that a description stands for
 * @throws RangeError for a negative or non-finite time
 */
export function serviceTimes(time: ServiceTime): ServiceTimes {
  const mean = typeof time === 'number' ? time : time.meanMs;
  if (!Number.isFinite(mean) || mean < 0) throw new RangeError(`service time must be >= 0 ms, got ${mean}`);
  if (typeof time === 'number') return () => time;
  const random = uniform(time.seed ?? 1);
  return () => -mean * Math.log(1 - random());
}

/** Uniform numbers in [0, 1): the mulberry32 generator, small and good enough for service times. */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
