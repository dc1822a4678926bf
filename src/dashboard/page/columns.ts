import type { Columns } from './shapes.js';

type Name = Exclude<keyof Columns, 'stepSeconds'>;

/** A history without anything in it. */
export const NO_HISTORY: Columns = {
  stepSeconds: 2,
  at: [],
  arrived: [],
  succeeded: [],
  failed: [],
  waiting: [],
  running: [],
  waitP50Ms: [],
  waitP99Ms: [],
  serviceP50Ms: [],
  serviceP99Ms: [],
};

const NAMES = Object.keys(NO_HISTORY).filter((name): name is Name => name !== 'stepSeconds');

/**
 * A history with news at its end, which take the place of what was known of the same spans.
 * @param most the oldest spans are dropped beyond so many
 */
export function extended(history: Columns, news: Columns, most: number): Columns {
  const [from] = news.at;
  if (from === undefined) return history;
  const found = history.at.findIndex((at) => at >= from);
  const kept = found === -1 ? history.at.length : found;
  const columns = NAMES.map((name) => [
    name,
    [...(history[name] as (number | null)[]).slice(0, kept), ...news[name]].slice(-most),
  ]);
  return { ...news, ...(Object.fromEntries(columns) as Partial<Columns>) };
}
