import { isDeepStrictEqual } from 'node:util';
import { rowsOf, type Application, type JobBody } from './application.js';

/** How a burst went. Times in ms. */
export interface BurstReport {
  readonly ids: readonly string[];
  /** How long each submission took to be answered. */
  readonly submitMs: readonly number[];
  /** From submitting to having the result. */
  readonly resultMs: readonly number[];
  readonly totalMs: number;
}

/** Callers that each wait for their result before they send the next job. */
const CALLERS = 24;
const WAIT_MS = 20_000;

/**
 * Many small jobs from many callers, half of them `echo`, half of them `delay`, every output compared with what
 * was sent.
 * @param findings gets a sentence for everything that is not as it should be
 * @param onProgress called with the number of jobs that are over
 */
export async function runBurst(
  application: Application,
  count: number,
  findings: string[],
  onProgress: (done: number) => void,
): Promise<BurstReport> {
  const ids: string[] = [];
  const submitMs: number[] = [];
  const resultMs: number[] = [];
  const startedAt = performance.now();
  let next = 0;
  let done = 0;

  async function runOne(index: number): Promise<void> {
    const sentAt = performance.now();
    const job = jobAt(index);
    const { received, status, ms } = await application.submit(job);
    if (status !== 200) {
      findings.push(`Job ${index} was not accepted: ${JSON.stringify(received)}`);
      return;
    }
    submitMs.push(ms);
    const { id } = received as { id: string };
    ids.push(id);
    const [row] = rowsOf(await application.waitFor([id], WAIT_MS));
    if (row === undefined) findings.push(`Job ${id} is lost`);
    else if (row.status !== 'success')
      findings.push(`Job ${id} is ${row.status}: ${JSON.stringify(row.result)}`);
    else if (!isRight(job, row.result?.output)) findings.push(`Job ${id} has a wrong output`);
    else resultMs.push(performance.now() - sentAt);
  }

  async function call(): Promise<void> {
    while (next < count) {
      const index = next;
      next += 1;
      await runOne(index);
      done += 1;
      onProgress(done);
    }
  }

  await Promise.all(Array.from({ length: CALLERS }, call));
  return { ids, submitMs, resultMs, totalMs: performance.now() - startedAt };
}

/** The smallest value that a share of all values does not exceed; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN;
}

function jobAt(index: number): JobBody {
  if (index % 2 === 0) return { containers: ['echo'], data: { index, greeting: `hello ${index}` } };
  return { containers: ['delay'], data: { ms: 100 + ((index * 37) % 300) } };
}

function isRight({ containers, data }: JobBody, output: unknown): boolean {
  if (containers[0] === 'echo') return isDeepStrictEqual(output, data);
  return (output as { slept_ms?: unknown } | null)?.slept_ms === data['ms'];
}
