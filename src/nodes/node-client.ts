import { performance } from 'node:perf_hooks';
import { Agent, errors, type Dispatcher } from 'undici';
import { messageOf } from '../errors.js';
import { parseNodeInfo, type NodeInfo } from '../protocol/node-info.js';
import { JsonSyntaxError } from '../protocol/raw-json.js';
import { ResultRowReader, type OversizeRow, type ResultRow } from '../protocol/result-rows.js';

/** Where a node is and what to send with every request to it. */
export interface NodeAddress {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Why a node gave no usable answer. `reason` is for operators and may hold host names. */
export type NodeFailure =
  /** The request did not get through to a node: nobody listens, or a page instead of JSON came back. */
  | { readonly kind: 'unreachable'; readonly reason: string }
  /** The request went out and no answer came: the node may have acted on it. */
  | { readonly kind: 'unclear'; readonly reason: string }
  /** 429: the route may be used again after `pauseMs`. */
  | { readonly kind: 'limited'; readonly reason: string; readonly pauseMs: number }
  /** A JSON 5xx. */
  | { readonly kind: 'error'; readonly reason: string };

/** What became of a submission. */
export type SubmitReply =
  | { readonly kind: 'accepted'; readonly id: string }
  /** The node's 4xx, to be passed on: `params` as the node sent them. */
  | {
      readonly kind: 'refused';
      readonly status: number;
      readonly reason: string;
      readonly params: Readonly<Record<string, unknown>>;
    }
  | NodeFailure;

/** What became of asking for results; rows were handed out as they arrived. */
export type ResultsReply = { readonly kind: 'complete' } | NodeFailure;

/** Errors raised before a byte of the request was written. */
const BEFORE_SENDING = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EPROTO',
  'UND_ERR_CONNECT_TIMEOUT',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

const SMALL_REPLY_BYTES = 1_048_576;
const CONNECT_TIMEOUT_MS = 3_000;

/**
 * Speaks the Infernet protocol to nodes; the only place that knows undici. It makes one request for each
 * call and never repeats one: who may try again is decided by the attempt loop and the collector.
 *
 * Connections are not reused: the reference node stalls 44 ms on every reused one (docs/protocol.md §6.3).
 */
export class NodeClient {
  private readonly agent: Agent;

  /** @param connectionsPerNode further requests to a node wait for one of these */
  constructor(connectionsPerNode = 64) {
    this.agent = new Agent({
      connections: connectionsPerNode,
      pipelining: 0,
      connect: { timeout: CONNECT_TIMEOUT_MS },
    });
  }

  /** GET /info. @throws NodeUnavailable */
  async info(node: NodeAddress, timeoutMs: number): Promise<{ info: NodeInfo; latencyMs: number }> {
    const startedAt = performance.now();
    try {
      const reply = await this.request(node, { method: 'GET', path: '/info', timeoutMs });
      const text = await readText(reply, SMALL_REPLY_BYTES);
      if (reply.statusCode !== 200) throw new Error(`/info answered ${reply.statusCode}`);
      return { info: parseNodeInfo(text), latencyMs: performance.now() - startedAt };
    } catch (error) {
      throw new NodeUnavailable(messageOf(error), codeOf(error) === 'ECONNREFUSED', { cause: error });
    }
  }

  /** POST /api/jobs with the exact bytes of `body`. Never throws for what a node does. */
  async submit(node: NodeAddress, body: Buffer, timeoutMs: number): Promise<SubmitReply> {
    let reply: Dispatcher.ResponseData;
    let text: string;
    try {
      const headers = { 'content-type': 'application/json' };
      reply = await this.request(node, { method: 'POST', path: '/api/jobs', body, headers, timeoutMs });
      text = await readText(reply, SMALL_REPLY_BYTES);
    } catch (error) {
      return failureOf(error);
    }
    return readSubmitReply(reply, text);
  }

  /**
   * GET /api/jobs?id=…; hands out each row as soon as it has arrived whole.
   * Rows that were handed out count even if the reply then breaks off.
   */
  async results(
    node: NodeAddress,
    query: { readonly ids: readonly string[]; readonly intermediate: boolean },
    limits: { readonly timeoutMs: number; readonly maxRowBytes: number },
    onRow: (row: ResultRow | OversizeRow) => void,
  ): Promise<ResultsReply> {
    const parameters = new URLSearchParams(query.ids.map((id): [string, string] => ['id', id]));
    if (query.intermediate) parameters.set('intermediate', 'true');
    const path = `/api/jobs?${parameters.toString()}`;
    try {
      const reply = await this.request(node, { method: 'GET', path, timeoutMs: limits.timeoutMs });
      if (reply.statusCode !== 200) return readFailure(reply, await readText(reply, SMALL_REPLY_BYTES));
      const reader = new ResultRowReader(limits.maxRowBytes);
      for await (const chunk of reply.body) for (const row of reader.push(chunk as Buffer)) onRow(row);
      reader.end();
      return { kind: 'complete' };
    } catch (error) {
      if (error instanceof JsonSyntaxError)
        return { kind: 'error', reason: `unusable reply: ${error.message}` };
      return failureOf(error);
    }
  }

  async close(): Promise<void> {
    await this.agent.destroy();
  }

  private request(
    node: NodeAddress,
    options: { method: 'GET' | 'POST'; path: string; body?: Buffer; headers?: object; timeoutMs: number },
  ): Promise<Dispatcher.ResponseData> {
    const { origin, pathname } = new URL(node.url);
    return this.agent.request({
      origin,
      path: (pathname === '/' ? '' : pathname) + options.path,
      method: options.method,
      body: options.body ?? null,
      headers: { ...node.headers, ...options.headers },
      reset: true,
      headersTimeout: options.timeoutMs,
      bodyTimeout: options.timeoutMs,
    });
  }
}

/** /info gave no usable answer. `refused`: nobody listens there. */
export class NodeUnavailable extends Error {
  constructor(
    message: string,
    readonly refused: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'NodeUnavailable';
  }
}

async function readText(reply: Dispatcher.ResponseData, limitBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of reply.body) {
    size += (chunk as Buffer).length;
    if (size > limitBytes) throw new Error(`a reply of more than ${limitBytes} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString();
}

function readSubmitReply(reply: Dispatcher.ResponseData, text: string): SubmitReply {
  const body = parseObject(text);
  const status = reply.statusCode;
  if (status === 200) {
    const id = body?.['id'];
    if (typeof id === 'string') return { kind: 'accepted', id };
    return { kind: 'unclear', reason: `200 without a job id: ${text.slice(0, 200)}` };
  }
  const error = body?.['error'];
  if (status >= 400 && status < 500 && status !== 429 && typeof error === 'string') {
    const params = body?.['params'];
    return {
      kind: 'refused',
      status,
      reason: error,
      params: typeof params === 'object' && params !== null ? (params as Record<string, unknown>) : {},
    };
  }
  return readFailure(reply, text);
}

function readFailure(reply: Dispatcher.ResponseData, text: string): NodeFailure {
  const status = reply.statusCode;
  if (status === 429) {
    return { kind: 'limited', reason: '429 Too Many Requests', pauseMs: pauseOf(reply.headers) };
  }
  const error = parseObject(text)?.['error'];
  if (typeof error === 'string') return { kind: 'error', reason: `${status} ${error}` };
  return { kind: 'unreachable', reason: `${status} that is not an answer of a node: ${text.slice(0, 80)}` };
}

/**
 * One token's time: the period until the bucket is full, divided by its size. `retry-after` is 0 at a
 * node's default setting and would invite a hot loop (docs/protocol.md §4).
 */
function pauseOf(headers: Dispatcher.ResponseData['headers']): number {
  const resetSeconds = Number(headers['ratelimit-reset'] ?? 60);
  const limit = Number(headers['ratelimit-limit'] ?? 60);
  // A little more than asked for, so that replicas and routes that were limited together do not return together.
  const pauseMs = (resetSeconds / limit) * 1_000 * (1 + Math.random() / 4);
  return Number.isFinite(pauseMs) ? Math.min(Math.max(pauseMs, 50), 60_000) : 1_000;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function failureOf(error: unknown): NodeFailure {
  const code = codeOf(error);
  const reason = messageOf(error) || code || 'unknown network failure';
  // Connections are not reused, so one on which nothing was written has not carried this request.
  const nothingSent = error instanceof errors.SocketError && error.socket?.bytesWritten === 0;
  const kind = nothingSent || (code !== undefined && BEFORE_SENDING.has(code)) ? 'unreachable' : 'unclear';
  return { kind, reason };
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  if (typeof code === 'string') return code;
  // Happy Eyeballs wraps one error for each address it tried.
  const first = error instanceof AggregateError ? (error.errors[0] as unknown) : undefined;
  return first === undefined ? undefined : codeOf(first);
}
