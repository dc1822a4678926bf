import { Agent, request } from 'undici';

/** Addresses that callers claim by X-Forwarded-For. */
export const CALLERS = ['10.9.0.1', '10.9.0.2', '10.9.0.3', '10.9.0.4', '10.9.0.5'];

/** One row of a results list; `result` holds the bytes, one character each. */
export interface Row {
  readonly id: string;
  readonly status: 'running' | 'success' | 'failed';
  readonly result: string;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly retryAfter: string | undefined;
}

/** The official client gives up after 5 s; reading is tried again soon, so it need not wait as long. */
const SUBMIT_LIMIT_MS = 5_000;
const READ_LIMIT_MS = 2_500;

/** The callers' side of one replica: a connection for each call, and the official client's patience. */
export class ReplicaClient {
  private readonly agent = new Agent({ pipelining: 0 });

  constructor(
    readonly url: string,
    private readonly adminToken: string,
  ) {}

  /**
   * Hands in a job, or several as a batch.
   * @throws Error of the connection, or when there is no answer in 5 s
   */
  submit(caller: string, path: '/api/jobs' | '/api/jobs/batch', body: string): Promise<HttpAnswer> {
    return this.call('POST', path, SUBMIT_LIMIT_MS, caller, body);
  }

  /**
   * Asks for results.
   * @throws Error of the connection, or when there is no answer in time
   */
  read(caller: string, ids: readonly string[]): Promise<HttpAnswer> {
    return this.call('GET', `/api/jobs?${ids.map((id) => `id=${id}`).join('&')}`, READ_LIMIT_MS, caller);
  }

  /** What operators are told about a job, for the report of a failure. */
  async adminView(id: string): Promise<string> {
    try {
      const { status, body } = await this.call('GET', `/admin/jobs/${id}`, READ_LIMIT_MS, '127.0.0.1');
      return `${status} ${body.trim()}`;
    } catch (error) {
      return String(error);
    }
  }

  async isHealthy(): Promise<boolean> {
    return (await this.call('GET', '/health', READ_LIMIT_MS, '127.0.0.1')).status === 200;
  }

  async close(): Promise<void> {
    await this.agent.destroy();
  }

  private async call(
    method: 'GET' | 'POST',
    path: string,
    limitMs: number,
    caller: string,
    body?: string,
  ): Promise<HttpAnswer> {
    const answer = await request(this.url + path, {
      method,
      body,
      dispatcher: this.agent,
      signal: AbortSignal.timeout(limitMs),
      headers: {
        'x-forwarded-for': caller,
        authorization: `Bearer ${this.adminToken}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
    });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    const retryAfter = answer.headers['retry-after'];
    return {
      status: answer.statusCode,
      body: bytes.toString('latin1'),
      retryAfter: Array.isArray(retryAfter) ? retryAfter[0] : retryAfter,
    };
  }
}

/** How a row begins; no payload of the load contains it. */
const ROW_START = /\{"id":"([0-9a-f-]{36})","result":/g;
const ROW_END = /,"status":"(running|success|failed)"\}$/;

/**
 * The rows of a results list. Not the gateway's own reader: a mistake in it would hide itself.
 * @returns undefined when the text is not what a node would write
 */
export function readRows(body: string): Row[] | undefined {
  if (!body.startsWith('[') || !body.endsWith(']\n')) return undefined;
  const starts = [...body.matchAll(ROW_START)];
  if (starts.length === 0) return body === '[]\n' ? [] : undefined;
  const rows = starts.map((start, index) => {
    const isLast = index === starts.length - 1;
    const text = body.slice(start.index, isLast ? -2 : (starts[index + 1]?.index ?? 0) - 1);
    const end = ROW_END.exec(text);
    if (end === null) return undefined;
    const result = text.slice(start[0].length, end.index);
    return { id: start[1] ?? '', status: end[1] as Row['status'], result };
  });
  return rows.includes(undefined) ? undefined : (rows as Row[]);
}
