import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

const TICK_MS = 10;
/** More than this unanswered means that the rate is beyond what the other side can do. */
const MOST_OPEN = 2_000;

/**
 * Does something at a steady rate, however long each takes: an open load, as many independent callers make it.
 * @returns how often. @throws what failed first; Error when so much is unanswered that the rate cannot be kept
 */
export async function paced(perSecond: number, forMs: number, act: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  const open = new Set<Promise<unknown>>();
  let failure: Error | undefined;
  let begun = 0;
  for (;;) {
    const elapsedMs = performance.now() - startedAt;
    const due = Math.floor((Math.min(elapsedMs, forMs) * perSecond) / 1_000);
    for (; begun < due; begun += 1) {
      const one = act()
        .catch((error: unknown) => (failure ??= error instanceof Error ? error : new Error(String(error))))
        .finally(() => open.delete(one));
      open.add(one);
    }
    if (failure !== undefined) throw failure;
    if (open.size > MOST_OPEN) throw new Error(`${open.size} requests wait: ${perSecond}/s is too much`);
    if (elapsedMs >= forMs) break;
    await sleep(TICK_MS);
  }
  await Promise.all(open);
  // Set in callbacks, which the compiler does not see.
  const last = failure as Error | undefined;
  if (last !== undefined) throw last;
  return begun;
}
