import { rowsOf, type Application, type Exchange, type JobBody } from './application.js';
import type { Terminal } from './terminal.js';

const COMPLETION: JobBody = {
  containers: ['openai-inference-0.0.1'],
  data: {
    model: 'gpt-3.5-turbo-16k',
    params: { endpoint: 'completion', messages: [{ role: 'user', content: 'how do I make pizza?' }] },
  },
};

const EMBEDDING: JobBody = {
  containers: ['openai-inference-0.0.1'],
  data: {
    model: 'text-embedding-3-small',
    params: { endpoint: 'embeddings', input: 'This string is meant to be embedded.' },
  },
};

const UNSUPPORTED: JobBody = { containers: ['non-existent-container'], data: EMBEDDING.data };

const WAIT_MS = 15_000;

/**
 * The requests that the official client's documentation shows (docs/protocol.md §9), each printed with its answer.
 * @param findings gets a sentence for everything that is not as it should be
 * @returns the ids of the jobs
 */
export async function playScenario(
  application: Application,
  terminal: Terminal,
  findings: string[],
): Promise<string[]> {
  const show = async (about: string, exchange: Promise<Exchange>): Promise<Exchange> => {
    const shown = await exchange;
    terminal.exchange(about, shown);
    if (shown.status !== 200) findings.push(`${shown.method} ${shown.path} was answered ${shown.status}`);
    return shown;
  };

  const job = await show('One job', application.submit(COMPLETION));
  const jobId = idOf(job.received);
  const batch = await show(
    'A batch, of which no node can run the third',
    application.call('POST', '/api/jobs/batch', [EMBEDDING, EMBEDDING, UNSUPPORTED]),
  );
  const [first, second, third] = batch.received as unknown[];
  const expected = { error: 'Container not supported', params: { container: 'non-existent-container' } };
  if (JSON.stringify(third) !== JSON.stringify(expected))
    findings.push('The third of the batch was not refused');
  const ids = [jobId, idOf(first), idOf(second)];

  await show('Which of my jobs are still running?', application.ids(true));
  const waited = await show('Wait for the first one', application.waitFor([jobId], WAIT_MS));
  expectOutput(findings, waited, 0, (output) => typeof output === 'string' && output.includes('pizza'));
  const results = await show('Results of several at once', application.waitFor(ids, WAIT_MS));
  for (const index of [1, 2]) {
    expectOutput(findings, results, index, (output) => Array.isArray(output) && output.length === 1_536);
  }

  const all = await show('All my jobs', application.ids());
  const done = await show('Those that are finished', application.ids(false));
  const pending = await show('Those that are not', application.ids(true));
  for (const id of ids) {
    if (!has(all, id) || !has(done, id)) findings.push(`Job ${id} is missing from a list`);
    if (has(pending, id)) findings.push(`Job ${id} is finished and listed as pending`);
  }
  return ids;
}

function idOf(answer: unknown): string {
  const id = (answer as { id?: unknown } | null)?.id;
  if (typeof id !== 'string') throw new Error(`A job was not accepted: ${JSON.stringify(answer)}`);
  return id;
}

function expectOutput(
  findings: string[],
  exchange: Exchange,
  index: number,
  isRight: (output: unknown) => boolean,
): void {
  const row = rowsOf(exchange)[index];
  if (row?.status === 'success' && isRight(row.result?.output)) return;
  findings.push(`Row ${index + 1} of ${exchange.path} is not the expected result`);
}

function has({ received }: Exchange, id: string): boolean {
  return (received as string[]).includes(id);
}
