import type { IncomingMessage, ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import type { Subscribed } from './chain.js';
import type { Execution } from './execution-log.js';
import type { Faults, FaultSettings } from './faults.js';
import type { ReceivedRequest } from './request-log.js';

const DEFAULT_LAST = 100;

/** What of a node can be seen and switched from outside. */
export interface ControlledNode {
  readonly name: string;
  readonly url: string;
  readonly containers: readonly string[];
  readonly slots: number;
  readonly load: object;
  readonly replies: Readonly<Record<number, number>>;
  readonly faults: Faults;
  readonly executions: readonly Execution[];
  readonly received: readonly ReceivedRequest[];
  readonly subscriptions: readonly Subscribed[];
  restart(options: { downMs?: number }): Promise<void>;
}

/**
 * The emulator's own routes under `/__emulator/`, for other processes. They pass by every fault but a
 * closed port, and by the rate limiter.
 *
 * - `GET state`: name, containers, load, replies by status and faults
 * - `PUT faults`: an object of fault settings; faults it does not name are switched off
 * - `POST restart`: answered 202 first, then the node restarts; body `{"downMs"?: number}`
 * - `GET executions?from=N`: the execution log, from the Nth entry
 * - `GET received?last=N`: the last N requests (default 100), bodies in base64
 * - `GET subscriptions`: the delegated subscriptions taken since the last restart
 */
export class ControlSurface {
  constructor(readonly node: ControlledNode) {}

  /** Answers in any case: a mistake of the caller with 400 or 404 and a text. */
  async receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://emulator');
    try {
      switch (`${request.method} ${url.pathname.slice('/__emulator/'.length)}`) {
        case 'GET state':
          return send(response, 200, this.#state());
        case 'GET executions':
          return send(response, 200, this.node.executions.slice(count(url, 'from', 0)));
        case 'GET received':
          return send(response, 200, this.#received(count(url, 'last', DEFAULT_LAST)));
        case 'GET subscriptions':
          return send(response, 200, this.node.subscriptions);
        case 'PUT faults': {
          const settings = (await json(request)) as FaultSettings;
          await this.node.faults.replace(settings);
          return send(response, 200, this.node.faults.active);
        }
        case 'POST restart': {
          const options = request.headers['content-length'] ? await json(request) : {};
          response.once('finish', () => void this.node.restart(options as { downMs?: number }));
          return send(response, 202, {});
        }
        default:
          return send(response, 404, { error: 'no such control; see /__emulator/state' });
      }
    } catch (error) {
      send(response, 400, { error: String(error) });
    }
  }

  #state(): object {
    const { name, url, containers, slots, load, replies, faults, executions } = this.node;
    return {
      name,
      url,
      containers,
      slots: Number.isFinite(slots) ? slots : null,
      ...load,
      executions: executions.length,
      replies,
      faults: faults.active,
    };
  }

  #received(last: number): object[] {
    return this.node.received
      .slice(-last)
      .map(({ body, ...rest }) => ({ ...rest, bodyBase64: body.toString('base64') }));
  }
}

function send(response: ServerResponse, status: number, value: unknown): void {
  const body = `${JSON.stringify(value)}\n`;
  response
    .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    .end(body);
}

function count(url: URL, name: string, fallback: number): number {
  const number = Number(url.searchParams.get(name) ?? fallback);
  if (!Number.isInteger(number) || number < 0) throw new RangeError(`${name} must be a count`);
  return number;
}
