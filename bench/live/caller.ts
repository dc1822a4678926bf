import { Agent, request, type RequestOptions } from 'node:http';
import { performance } from 'node:perf_hooks';

/** A job as callers write it. */
export interface JobBody {
  readonly containers: readonly string[];
  readonly data: object;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

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

  /** Hands in jobs as one batch. @returns their ids. @throws Error if one was not accepted */
  async submitBatch(jobs: readonly JobBody[]): Promise<string[]> {
    const { status, text } = await this.call('POST', '/api/jobs/batch', JSON.stringify(jobs));
    if (status !== 200) throw new Error(`POST /api/jobs/batch answered ${status} ${text}`);
    return (JSON.parse(text) as { id?: string }[]).map(({ id }) => {
      if (id === undefined) throw new Error(`An item of a batch was refused: ${text.slice(0, 200)}`);
      return id;
    });
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

  private call(method: string, path: string, body?: string): Promise<Answer> {
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const options: RequestOptions = {
      method,
      agent: this.agent,
      headers: { 'content-type': 'application/json', ...length },
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
