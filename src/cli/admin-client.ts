import { messageOf } from '../errors.js';
import type { FoundToken } from './access.js';
import { CommandError } from './exit.js';

/** Longer than the gateway takes to register a node that does not answer. */
const TIMEOUT_MS = 30_000;

/** An answer of the admin API: its exact text for scripts, and what it says. */
export interface Reply<T> {
  readonly text: string;
  readonly value: T;
}

/** Calls the admin API of a gateway and says in plain words what went wrong. */
export class AdminClient {
  constructor(
    private readonly gateway: URL,
    private readonly token: FoundToken,
  ) {}

  async get<T>(path: string, query: Readonly<Record<string, string | readonly string[] | undefined>> = {}) {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      for (const each of typeof value === 'string' ? [value] : (value ?? [])) parameters.append(name, each);
    }
    return this.call<T>('GET', parameters.size === 0 ? path : `${path}?${parameters.toString()}`);
  }

  /**
   * @param path below /admin
   * @throws CommandError
   */
  async call<T>(method: string, path: string, body?: unknown): Promise<Reply<T>> {
    const { status, text } = await this.send(method, path, body);
    const value = parsed(text);
    if (status >= 200 && status < 300 && value !== undefined) return { text: text.trim(), value: value as T };
    if (status === 401) {
      throw new CommandError(
        `The gateway at ${this.address} refuses the admin token from ${this.token.source}. Its own is in ` +
          'ADMIN_TOKEN of its environment, or in the file admin-token of its DATA_DIR.',
      );
    }
    const detail = (value as { detail?: unknown } | undefined)?.detail;
    if (typeof detail === 'string') throw new CommandError(detail);
    throw new CommandError(
      `${this.address} does not answer like an infernet-gateway: ${method} /admin${path} gave ${status}.`,
    );
  }

  private get address(): string {
    return this.gateway.href.replace(/\/$/, '');
  }

  private async send(method: string, path: string, body: unknown): Promise<{ status: number; text: string }> {
    const headers: Record<string, string> = { authorization: `Bearer ${this.token.token}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    try {
      const reply = await fetch(`${this.address}/admin${path}`, {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        // The token must not travel to wherever a redirect points.
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      return { status: reply.status, text: await reply.text() };
    } catch (error) {
      throw new CommandError(`No gateway at ${this.address}: ${this.problemOf(error)}`, { cause: error });
    }
  }

  private problemOf(error: unknown): string {
    if (error instanceof DOMException && error.name === 'TimeoutError') {
      return `no answer within ${TIMEOUT_MS / 1_000} s.`;
    }
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    switch ((cause as { code?: unknown }).code) {
      case 'ECONNREFUSED':
        return (
          'the connection was refused. Is it running? `infernet-gateway start` starts one; --url or GATEWAY_URL ' +
          'names another.'
        );
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
        return `there is no host ${this.gateway.hostname}.`;
      case 'EHOSTUNREACH':
      case 'ENETUNREACH':
        return 'the host cannot be reached.';
      case 'UND_ERR_CONNECT_TIMEOUT':
      case 'ETIMEDOUT':
        return 'the connection was not answered.';
      case 'ECONNRESET':
      case 'UND_ERR_SOCKET':
        return 'it ended the connection without an answer.';
      default:
        return `${messageOf(cause)}.`;
    }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
