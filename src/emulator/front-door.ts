import type { IncomingMessage, ServerResponse } from 'node:http';
import type { VersionTraits } from './api-version.js';
import type { Faults } from './faults.js';
import type { StreamSink } from './job-runner.js';
import { faultyJsonReply, type NodeApi, type StreamReply } from './node-api.js';
import type { RateLimiter } from './rate-limiter.js';
import { htmlReply, type Reply } from './reply.js';
import type { ReceivedRequest } from './request-log.js';
import { routeOf } from './routes.js';
import type { ScriptedAnswers } from './scripted-answers.js';
import type { SerialCost } from './serial-cost.js';

/** What stands between the sockets and the endpoints; every member belongs to the same node. */
export interface FrontDoorParts {
  readonly api: NodeApi;
  /** Of the version that the node behaves like. */
  readonly traits: VersionTraits;
  readonly faults: Faults;
  readonly scripted: ScriptedAnswers;
  /** Called when a request has been read, before anything is done about it. */
  onReceived(request: ReceivedRequest): void;
  /** Called with the status of every reply that leaves. */
  onReplied(status: number): void;
  /** undefined: no limit */
  readonly limiter: RateLimiter | undefined;
  readonly cost: SerialCost;
  readonly bodyLimitBytes: number;
  readonly stallReusedMs: number;
  /** A connection ends after this many requests, although nothing in the last reply says so. */
  readonly requestsPerConnection: number;
  /** Whether the port is closed, so that connections end with the request they carry. */
  isClosing(): boolean;
}

type Body = Buffer | 'too large' | 'aborted';

const EMPTY = Buffer.alloc(0);
/** The caller of a stream whose connection has ended already. */
const NOBODY: StreamSink = {
  closed: true,
  gone: Promise.resolve(),
  write: () => undefined,
  drained: () => Promise.resolve(),
};

/**
 * Takes a request from its socket to its reply: body, faults, rate limiter, endpoint, and the node's
 * habits of ending and stalling connections.
 */
export class FrontDoor {
  #isDead = false;

  constructor(readonly parts: FrontDoorParts) {}

  /** The process ends: requests that are on their way to an endpoint do not reach it. */
  die(): void {
    this.#isDead = true;
  }

  /** @param nth how many requests the connection has carried, this one included */
  async receive(request: IncomingMessage, response: ServerResponse, nth: number): Promise<void> {
    const { faults, cost, limiter } = this.parts;
    const { socket, method = 'GET', url = '/' } = request;
    const at = Date.now();
    const body = await readBody(request, this.parts.bodyLimitBytes);
    if (body === 'aborted') return;
    const bytes = body === 'too large' ? undefined : body;
    this.parts.onReceived({ method, path: url, headers: request.headers, body: bytes ?? EMPTY, at });

    const question = url.indexOf('?');
    const path = decodedPath(question < 0 ? url : url.slice(0, question));
    await faults.thawed;
    if (faults.strikesRequest('hang', method, path)) return;
    if (faults.strikesRequest('resetBeforeAccept', method, path)) return void socket.resetAndDestroy();
    await cost.pay();
    if (this.#isDead) return;

    const isLast = nth >= this.parts.requestsPerConnection || this.parts.isClosing();
    const send = (reply: Reply, headers: Reply['headers'] = []): void =>
      this.#send(response, { ...reply, closes: reply.closes === true || isLast }, headers, nth > 1);

    const route = routeOf(method, path, this.parts.traits);
    if ('status' in route) {
      if (route.status === 405 && method === 'OPTIONS') {
        return send({ ...htmlReply(200), body: EMPTY }, [['allow', route.allow]]);
      }
      return send(htmlReply(route.status), route.status === 405 ? [['allow', route.allow]] : []);
    }
    const peer = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
    let headers: Reply['headers'] = [];
    if (limiter !== undefined && route.isLimited) {
      const caller = callerOf(request, peer);
      if (caller === undefined) return send(htmlReply(500));
      const verdict = limiter.take(route.endpoint, caller, performance.now());
      headers = verdict.headers;
      if (!verdict.allowed) {
        const retryAfter = ['retry-after', String(verdict.retryAfterSeconds)] as const;
        const repeated = verdict.retryAfterSeconds >= 1 ? [retryAfter, retryAfter] : [retryAfter];
        return send(htmlReply(429), [...repeated, ...headers]);
      }
    }
    if (faults.strikesRequest('error500Json', method, path)) return send(faultyJsonReply(), headers);
    if (faults.strikesRequest('error500Html', method, path)) return send(htmlReply(500), headers);

    const query = new URLSearchParams(question < 0 ? '' : url.slice(question + 1));
    const contentType = request.headers['content-type'] ?? '';
    const answer = this.parts.api.answer({
      endpoint: route.endpoint,
      method,
      path,
      query,
      contentType,
      body: bytes,
      peer,
    });
    const reset = faults.strikesRequest('resetAfterAccept', method, path);
    const lost = faults.strikesRequest('loseAnswer', method, path);
    if (reset !== undefined || lost !== undefined) {
      if ('stream' in answer) void answer.stream(NOBODY);
      if (reset !== undefined) socket.resetAndDestroy();
      else if (lost?.close === true) socket.destroy();
      return;
    }
    if ('stream' in answer) return this.#stream(response, answer, headers);
    send(this.parts.scripted.reply(method, path) ?? answer, headers);
  }

  #send(response: ServerResponse, reply: Reply, extra: Reply['headers'] = [], isReused: boolean): void {
    const { socket } = response;
    this.parts.onReplied(reply.status);
    const pairs = [
      ['content-type', reply.contentType] as const,
      ['content-length', String(reply.body.length)] as const,
      ...(reply.headers ?? []),
      ...extra,
    ];
    writeHead(response, reply.status, pairs);
    const finish = (): void => void response.end(reply.body, () => reply.closes && socket?.destroySoon());
    if (!isReused || this.parts.stallReusedMs === 0) return finish();
    // Nagle's algorithm holds the body back until the peer's delayed acknowledgement of the head.
    response.flushHeaders();
    setTimeout(finish, this.parts.stallReusedMs);
  }

  async #stream(
    response: ServerResponse,
    answer: StreamReply,
    headers: Reply['headers'] = [],
  ): Promise<void> {
    const { socket } = response;
    this.parts.onReplied(200);
    writeHead(response, 200, [['content-type', 'text/html; charset=utf-8'], ...headers]);
    const end = await answer.stream({
      get closed() {
        return socket === null || socket.destroyed;
      },
      gone: new Promise((resolve) => response.once('close', resolve)),
      write: (piece) => void response.write(piece),
      drained: async () => {
        if (!response.writableNeedDrain || response.destroyed) return;
        await new Promise<void>((resolve) => {
          const settle = (): void => {
            response.off('drain', settle);
            response.off('close', settle);
            resolve();
          };
          response.on('drain', settle);
          response.on('close', settle);
        });
      },
    });
    if (end === 'ended') response.end();
    else socket?.destroy();
  }
}

function writeHead(
  response: ServerResponse,
  status: number,
  pairs: readonly (readonly [string, string])[],
): void {
  // The reference node announces neither keep-alive nor its end; a caller's `close` it confirms.
  if (response.shouldKeepAlive) response.removeHeader('connection');
  response.writeHead(status, ['server', 'hypercorn-h11', ...pairs.flat()]);
}

/** The limiter's key; undefined for an empty X-Forwarded-For, on which the node's limiter breaks. */
function callerOf(request: IncomingMessage, peer: string): string | undefined {
  const forwarded = request.headers['x-forwarded-for'];
  if (forwarded === undefined) return peer;
  const [first = ''] = String(forwarded).split(',');
  return first.trim() === '' ? undefined : first.trim();
}

function decodedPath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** The whole body. One that announces too many bytes is not read at all. */
async function readBody(request: IncomingMessage, limitBytes: number): Promise<Body> {
  const { headers } = request;
  const length = headers['content-length'];
  if (length === undefined && headers['transfer-encoding'] === undefined) return EMPTY;
  if (Number(length ?? 0) > limitBytes) return 'too large';
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limitBytes) return void chunks.push(chunk);
      request.pause();
      resolve('too large');
    });
    request.on('end', () => resolve(chunks.length === 1 ? (chunks[0] ?? EMPTY) : Buffer.concat(chunks)));
    request.on('error', () => resolve('aborted'));
    request.on('close', () => resolve('aborted'));
  });
}
