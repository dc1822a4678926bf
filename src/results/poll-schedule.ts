/**
 * When to ask a node about a job. Young jobs are asked about often, because most jobs are short; with age the
 * pauses grow in proportion, so that a result is found late by at most a fixed share of the job's own length.
 * A job that a caller waits for is asked about at short pauses whatever its age. All times in ms.
 */
const SHORTEST_MS = 25;
const LONGEST_MS = 5_000;
const SHARE_OF_AGE = 0.2;
const WANTED_LONGEST_MS = 50;
/** Questions before this share of the usual time would mostly be in vain. */
const SHARE_OF_MEAN = 0.5;
/** Jobs of one kind differ: a short one among long ones must not wait for long. */
const FIRST_LONGEST_MS = 250;

/** How long to leave a job alone that was found running at age `ageMs`. */
export function nextPauseMs(ageMs: number, wanted: boolean): number {
  const longest = wanted ? WANTED_LONGEST_MS : LONGEST_MS;
  return Math.min(longest, Math.max(SHORTEST_MS, ageMs * SHARE_OF_AGE));
}

/** How long the first question waits after a job was accepted: half of what jobs of its kind take here, within bounds. */
export function firstPauseMs(meanMs: number | undefined): number {
  return Math.min(FIRST_LONGEST_MS, Math.max(SHORTEST_MS, (meanMs ?? 0) * SHARE_OF_MEAN));
}
