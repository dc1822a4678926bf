import { Agent, request, type RequestOptions } from 'node:http';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

/** How often what was refused of a batch is handed in, and after what pause in ms. */
const BATCH_TRIES = 10;
const AGAIN_AFTER_MS = 500;

/** A job as callers write it. */
export interface JobBody {
  readonly containers: readonly string[];
  readonly data: object;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** A job's end as its caller saw it. */
export interface Outcome {
  readonly id: string;
  readonly succeeded: boolean;
  /** When the answer was there, in ms since 1970. */
  readonly atMs: number;
  /** Since before it was handed in, in ms. */
  readonly tookMs: number;
}

/** The longest that a gateway lets a caller wait unless it was set otherwise, in s. */
const WAIT_S = 4;

/** An application that uses a node or a gateway. */
export class Caller {
  private readonly agent: Agent | false;

  /** @param keepsConnections false: a new connection for each call, as the official client does it */
  constructor(
    readonly url: string,
    { keepsConnections }: { keepsConnections: boolean },
  ) {
    this.agent = keepsConnections && new Agent({ keepAlive: true, maxSockets: 16 });
  }

  /** Hands in one job. @returns how long that took until the answer was there whole, in ms. @throws Error if it was not accepted */
  async submit(job: JobBody): Promise<number> {
    const body = JSON.stringify(job);
    const startedAt = performance.now();
    const { status, text } = await this.call('POST', '/api/jobs', body);
    const tookMs = performance.now() - startedAt;
    if (status !== 200) throw new Error(`POST /api/jobs answered ${status} ${text}`);
    return tookMs;
  }

  /**
   * Hands in one job and waits for its end. A gateway is asked to answer when the job has ended (`Prefer: wait`); with
   * a pause the server is asked after each such pause, which is all that callers of a node can do.
   */
  async outcome(job: JobBody, pauseMs?: number): Promise<Outcome> {
    const startedAt = performance.now();
    const { status, text } = await this.call('POST', '/api/jobs', JSON.stringify(job));
    const id = status === 200 ? (JSON.parse(text) as { id?: string }).id : undefined;
    if (id === undefined) throw new Error(`POST /api/jobs answered ${status} ${text}`);
    const headers: Record<string, string> = pauseMs === undefined ? { prefer: `wait=${WAIT_S}` } : {};
    for (;;) {
      if (pauseMs !== undefined) await sleep(pauseMs);
      const reply = await this.call('GET', `/api/jobs?id=${id}`, undefined, headers);
      if (reply.status !== 200) throw new Error(`GET /api/jobs answered ${reply.status} ${reply.text}`);
      const [row] = JSON.parse(reply.text) as { status: string }[];
      if (row !== undefined && row.status !== 'running') {
        return {
          id,
          succeeded: row.status === 'success',
          atMs: Date.now(),
          tookMs: performance.now() - startedAt,
        };
      }
    }
  }

  /**
   * Hands in jobs as one batch; those that the database of a busy machine did not take in time again, as any caller would.
   * @returns their ids. @throws Error if one is refused time after time
   */
  async submitBatch(jobs: readonly JobBody[], tries = BATCH_TRIES): Promise<string[]> {
    const { status, text } = await this.call('POST', '/api/jobs/batch', JSON.stringify(jobs));
    if (status !== 200 && status !== 503) throw new Error(`POST /api/jobs/batch answered ${status} ${text}`);
    const items = status === 503 ? [] : (JSON.parse(text) as { id?: string }[]);
    const ids = items.flatMap(({ id }) => id ?? []);
    const refused = jobs.filter((_job, index) => items[index]?.id === undefined);
    if (refused.length === 0) return ids;
    if (tries === 1) throw new Error(`Of a batch was refused: ${text.slice(0, 200)}`);
    await sleep(AGAIN_AFTER_MS);
    return [...ids, ...(await this.submitBatch(refused, tries - 1))];
  }

  /** Ids of own jobs: those that have not ended, or those that have. */
  async ids(which: 'pending' | 'ended'): Promise<string[]> {
    const { status, text } = await this.call('GET', `/api/jobs?pending=${which === 'pending'}`);
    if (status !== 200) throw new Error(`GET /api/jobs answered ${status} ${text}`);
    return JSON.parse(text) as string[];
  }

  /** How each of these jobs stands. */
  async statuses(ids: readonly string[]): Promise<string[]> {
    const query = ids.map((id) => `id=${id}`).join('&');
    const { status, text } = await this.call('GET', `/api/jobs?${query}`);
    if (status !== 200) throw new Error(`GET /api/jobs answered ${status} ${text}`);
    return (JSON.parse(text) as { status: string }[]).map((row) => row.status);
  }

  close(): void {
    if (this.agent !== false) this.agent.destroy();
  }

  private call(
    method: string,
    path: string,
    body?: string,
    more: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const options: RequestOptions = {
      method,
      agent: this.agent,
      headers: { 'content-type': 'application/json', ...length, ...more },
    };
    return new Promise((resolve, reject) => {
      const sent = request(`${this.url}${path}`, options, (reply) => {
        const chunks: Buffer[] = [];
        reply.on('data', (chunk: Buffer) => chunks.push(chunk));
        reply.on('error', reject);
        reply.on('end', () =>
          resolve({ status: reply.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
        );
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }
}
