/** An admin call that failed; the message is for the operator. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

type Query = Readonly<Record<string, string | readonly string[] | undefined>>;

/** The admin API, called with the operator's token. Addresses are relative, so a proxy may put a prefix before all. */
export class Api {
  /** @param onRefused told when the token is refused */
  constructor(
    private readonly token: string,
    private readonly onRefused: () => void,
  ) {}

  /** @throws ApiError */
  async get<T>(path: string, query: Query = {}): Promise<T> {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      for (const one of [value ?? []].flat()) if (one !== '') parameters.append(name, one);
    }
    const text = parameters.toString();
    return (await this.call('GET', text === '' ? path : `${path}?${text}`)) as T;
  }

  /** @throws ApiError */
  async send<T>(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: object): Promise<T> {
    return (await this.call(method, path, body)) as T;
  }

  /** The stream of live changes; the caller reads its body. @throws ApiError, or what `fetch` throws */
  async events(lastId: string | undefined, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const headers = { ...this.headers, ...(lastId === undefined ? {} : { 'last-event-id': lastId }) };
    const reply = await fetch('admin/events', { headers, signal, cache: 'no-store' });
    if (!reply.ok || reply.body === null) throw await this.errorOf(reply);
    return reply.body;
  }

  private get headers(): Record<string, string> {
    return { authorization: `Bearer ${this.token}` };
  }

  private async call(method: string, path: string, body?: object): Promise<unknown> {
    let reply: Response;
    try {
      reply = await fetch(`admin/${path}`, {
        method,
        headers: body === undefined ? this.headers : { ...this.headers, 'content-type': 'application/json' },
        body: body === undefined ? null : JSON.stringify(body),
        cache: 'no-store',
      });
    } catch {
      throw new ApiError(0, 'The gateway does not answer');
    }
    if (!reply.ok) throw await this.errorOf(reply);
    return reply.json();
  }

  private async errorOf(reply: Response): Promise<ApiError> {
    if (reply.status === 401) this.onRefused();
    const problem = (await reply.json().catch(() => ({}))) as { detail?: unknown };
    const detail =
      typeof problem.detail === 'string' ? problem.detail : `The gateway answered ${reply.status}`;
    return new ApiError(reply.status, detail);
  }
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
