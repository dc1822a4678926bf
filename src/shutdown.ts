import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

/** One step of a stop. */
export interface ShutdownPhase {
  readonly name: string;
  /** After this long the stop goes on to the next phase, in ms; what this one began goes on beside it. */
  readonly budgetMs: number;
  readonly run: () => unknown;
}

/** How a phase went. */
export interface PhaseReport {
  readonly phase: string;
  readonly outcome: 'done' | 'out of time' | 'failed';
  readonly ms: number;
  readonly error?: unknown;
}

/**
 * Runs the phases one after the other. None can keep the later ones from running: a phase that fails or takes too long is
 * reported, and the stop goes on. Never throws.
 */
export async function shutDown(
  phases: readonly ShutdownPhase[],
  report: (phase: PhaseReport) => void,
): Promise<void> {
  for (const { name: phase, budgetMs, run } of phases) {
    const startedAt = performance.now();
    const end = (outcome: PhaseReport['outcome'], error?: unknown): PhaseReport => ({
      phase,
      outcome,
      ms: Math.round(performance.now() - startedAt),
      ...(error === undefined ? {} : { error }),
    });
    const timeUp = new AbortController();
    const work = Promise.resolve()
      .then(run)
      .then(
        () => end('done'),
        (error: unknown) => end('failed', error),
      );
    const late = sleep(budgetMs, undefined, { signal: timeUp.signal }).then(
      () => end('out of time'),
      () => end('done'),
    );
    report(await Promise.race([work, late]));
    timeUp.abort();
  }
}
