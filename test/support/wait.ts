import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits until a condition holds and gives what it gave.
 *
 * @param condition Asked again and again; anything truthy ends the wait.
 * @param options.withinMs Default 30,000.
 * @throws Error naming `what` when the time is up.
 */
export async function waitUntil<T>(
  what: string,
  condition: () => T | Promise<T>,
  options: { readonly withinMs?: number; readonly everyMs?: number } = {},
): Promise<NonNullable<T>> {
  const { withinMs = 30_000, everyMs = 20 } = options;
  const deadline = Date.now() + withinMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`Not within ${withinMs} ms: ${what}`);
    await sleep(everyMs);
  }
}
