import { uuidv7 } from '../protocol/uuid.js';

/**
 * The id that a request goes by in the log and in its answer: the caller's `X-Request-Id`, so that both find the same
 * thing, or a new one if there is none or it has characters that have no business in a log.
 */
export function requestIdOf(given: string | string[] | undefined): string {
  return typeof given === 'string' && /^[\w.:/+=@-]{1,128}$/.test(given) ? given : uuidv7();
}
