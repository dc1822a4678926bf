/** A request and what came back, ready to be shown. */
export interface Exchange {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Headers worth showing. */
  readonly headers: Readonly<Record<string, string>>;
  /** JSON; undefined for none. */
  readonly sent: unknown;
  readonly status: number;
  /** JSON. */
  readonly received: unknown;
  /** From sending to having read the whole answer. */
  readonly ms: number;
}

/** What an application sends: `containers` and `data` of one job. */
export interface JobBody {
  readonly containers: readonly string[];
  readonly data: Readonly<Record<string, unknown>>;
}

/** A row of `GET /api/jobs?id=`; docs/protocol.md §1. */
export interface ResultRow {
  readonly id: string;
  readonly status: 'running' | 'success' | 'failed';
  readonly result: { readonly container: string; readonly output?: unknown; readonly error?: string } | null;
}

/** The gateway waits this long at most by default; see the setting MAX_WAIT_SECONDS. */
const WAIT = { prefer: 'wait=4' };

/** An application that knows nothing but the gateway's URL and the node API. */
export class Application {
  /**
   * @param url base address without a trailing slash
   * @param secrets headers that every request carries and no exchange shows
   * @param signal breaks off what is under way
   */
  constructor(
    readonly url: string,
    private readonly secrets: Readonly<Record<string, string>> = {},
    private readonly signal?: AbortSignal,
  ) {}

  /** @throws Error when there is no answer, or one that is not JSON */
  async call(
    method: string,
    path: string,
    sent?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Exchange> {
    const startedAt = performance.now();
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...this.secrets,
        ...headers,
        ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: sent === undefined ? undefined : JSON.stringify(sent),
      signal: this.signal,
    });
    const text = await response.text();
    const ms = performance.now() - startedAt;
    return { method, path, headers, sent, status: response.status, received: JSON.parse(text), ms };
  }

  /** Hands in a job. */
  submit(job: JobBody): Promise<Exchange> {
    return this.call('POST', '/api/jobs', job);
  }

  /**
   * Asks for results until all of these jobs are finished. Each question waits in the gateway instead of here.
   * @returns the last exchange; a row of it is still running when the time is up, and missing when nobody knows the job
   */
  async waitFor(ids: readonly string[], timeoutMs: number): Promise<Exchange> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const exchange = await this.call('GET', resultsPath(ids), undefined, WAIT);
      const rows = rowsOf(exchange);
      // A job that is not there at all will not appear by waiting.
      if (rows.length < ids.length || rows.every((row) => row.status !== 'running')) return exchange;
      if (performance.now() > deadline) return exchange;
    }
  }

  /** The ids of this application's jobs. */
  ids(pending?: boolean): Promise<Exchange> {
    return this.call('GET', pending === undefined ? '/api/jobs' : `/api/jobs?pending=${pending}`);
  }
}

/** The result rows of an exchange; none when it was refused. */
export function rowsOf({ status, received }: Exchange): readonly ResultRow[] {
  return status === 200 ? (received as ResultRow[]) : [];
}

function resultsPath(ids: readonly string[]): string {
  return `/api/jobs?${ids.map((id) => `id=${id}`).join('&')}`;
}
