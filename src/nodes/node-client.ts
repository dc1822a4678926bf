import { performance } from 'node:perf_hooks';
import { Agent, Client, errors, type Dispatcher } from 'undici';
import { messageOf } from '../errors.js';
import { NoMetrics, type Metrics, type ReplyOutcome } from '../metrics/metrics.js';
import { lacksChain, parseChain, parseNodeInfo, type NodeInfo } from '../protocol/node-info.js';
import { JsonSyntaxError } from '../protocol/raw-json.js';
import type { NodeRoute, RateBudget, RateHeaders } from './rate-budget.js';
import type { Traceparent } from '../tracing/tracing.js';
import { Turns } from './turns.js';
import { ResultRowReader, type OversizeRow, type ResultRow } from '../protocol/result-rows.js';

/** A node as the client has to know it. */
export interface NodeTarget {
  /** Where it is and what to send with every request to it. */
  readonly config: {
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    /** For metrics. */
    readonly name: string;
  };
  /** Told of every request and of what the node says of its rate limiter. */
  readonly budget: RateBudget;
  /** Whether its connections are worth keeping; see `measureReuse`. */
  readonly reusesConnections: boolean;
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

/** What became of a delegated subscription; nodes give it no id that is good for anything. */
export type DelegationReply = { readonly kind: 'accepted' } | Exclude<SubmitReply, { kind: 'accepted' }>;

/** What became of a batch: of each of its jobs, in order, or of all of it. */
export type BatchReply = { readonly kind: 'items'; readonly items: readonly SubmitReply[] } | NodeFailure;

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

/** Replies that are no results are not read beyond this. */
export const SMALL_REPLY_BYTES = 1_048_576;
export const CONNECT_TIMEOUT_MS = 3_000;
/** A body that comes in more slowly than this is given up, after a start of so many ms; bytes in a ms. */
const SLOWEST_BYTES_PER_MS = 16;
const START_MS = 3_000;
/** How long and for how many requests connections are kept: nodes drop them, without a word, a little later. */
export const KEPT_CONNECTIONS = {
  keepAliveTimeout: 3_000,
  keepAliveMaxTimeout: 3_000,
  maxRequestsPerClient: 900,
} as const;
/** A reused connection that is slower than a new one by more than this stalls, in ms. */
const STALL_MS = 20;
const REUSE_SAMPLES = 5;
/** Nodes that are measured at a time. */
const REUSE_AT_ONCE = 2;

/**
 * Speaks the Infernet protocol to nodes; the only place that knows undici. It makes one request for each
 * call and never repeats one: who may try again is decided by the attempt loop and the collector.
 *
 * The reference node stalls 44 ms on every reused connection, and drops those that were idle for 5 s or carried 1,001
 * requests without a word (docs/protocol.md §6.3). So each request gets a connection of its own, unless reuse was
 * measured to be faster; and kept connections are given up well before a node would drop them.
 */
export class NodeClient {
  private readonly agent: Agent;
  private readonly reuseTurns = new Turns(REUSE_AT_ONCE);

  /** @param connectionsPerNode further requests to a node wait for one of these */
  constructor(
    private readonly metrics: Metrics = new NoMetrics(),
    connectionsPerNode = 64,
  ) {
    this.agent = new Agent({
      connections: connectionsPerNode,
      pipelining: 1,
      connect: { timeout: CONNECT_TIMEOUT_MS },
      ...KEPT_CONNECTIONS,
    });
  }

  /** GET /info, and what a node of 0.2.0 tells elsewhere instead. @throws NodeUnavailable */
  async info(node: NodeTarget, timeoutMs: number): Promise<{ info: NodeInfo; latencyMs: number }> {
    const startedAt = performance.now();
    try {
      const reply = await this.request(node, 'info', { method: 'GET', path: '/info', timeoutMs });
      const text = await readText(reply, SMALL_REPLY_BYTES);
      if (reply.statusCode !== 200) throw new Error(`/info answered ${reply.statusCode}`);
      const latencyMs = performance.now() - startedAt;
      const info = parseNodeInfo(text);
      if (!lacksChain(text)) return { info, latencyMs };
      return { info: { ...info, chain: (await this.chain(node, timeoutMs)) ?? info.chain }, latencyMs };
    } catch (error) {
      throw new NodeUnavailable(messageOf(error), codeOf(error) === 'ECONNREFUSED', { cause: error });
    }
  }

  /** The chain of a node of 0.2.0; undefined if it knows no such calls. */
  private async chain(node: NodeTarget, timeoutMs: number): Promise<NodeInfo['chain'] | undefined> {
    const texts: string[] = [];
    for (const path of ['/api/chain/enabled', '/api/chain/address']) {
      const reply = await this.request(node, 'chain', { method: 'GET', path, timeoutMs });
      texts.push(await readText(reply, SMALL_REPLY_BYTES));
      if (reply.statusCode === 404) return undefined;
      if (reply.statusCode !== 200) throw new Error(`${path} answered ${reply.statusCode}`);
    }
    return parseChain(texts[0] as string, texts[1] as string);
  }

  /**
   * GET of a document, as the bytes that came.
   * @throws Error that says what was wrong with the answer
   */
  async document(
    node: NodeTarget,
    route: NodeRoute,
    path: string,
    limits: { readonly timeoutMs: number; readonly mostBytes: number },
  ): Promise<Buffer> {
    const reply = await this.request(node, route, { method: 'GET', path, timeoutMs: limits.timeoutMs });
    const bytes = await readBytes(reply, limits.mostBytes);
    if (reply.statusCode === 200) return bytes;
    throw new Error(`${path} answered ${reply.statusCode}`);
  }

  /** POST /api/jobs with the exact bytes of `body`. Never throws for what a node does. */
  async submit(
    node: NodeTarget,
    body: Buffer,
    timeoutMs: number,
    traceparent?: Traceparent,
  ): Promise<SubmitReply> {
    const answer = await this.post(node, body, timeoutMs, traceparent);
    return 'kind' in answer ? answer : readSubmitReply(answer.reply, answer.text);
  }

  /** The same with a delegated subscription. Never throws for what a node does. */
  async submitDelegated(node: NodeTarget, body: Buffer, timeoutMs: number): Promise<DelegationReply> {
    const answer = await this.post(node, body, timeoutMs);
    return 'kind' in answer ? answer : readDelegationReply(answer.reply, answer.text);
  }

  /** POST /api/jobs/batch with the exact bytes of each body. Never throws for what a node does. */
  async submitBatch(
    node: NodeTarget,
    bodies: readonly Buffer[],
    timeoutMs: number,
    traceparent?: Traceparent,
  ): Promise<BatchReply> {
    const body = Buffer.concat(
      bodies.flatMap((item, index) => [index === 0 ? OPEN : COMMA, item]).concat(CLOSE),
    );
    let reply: Dispatcher.ResponseData;
    let text: string;
    try {
      const headers = jsonHeaders(traceparent);
      const post = { method: 'POST', path: '/api/jobs/batch', body, headers, timeoutMs } as const;
      reply = await this.request(node, 'create_job_batch', post);
      text = await readText(reply, SMALL_REPLY_BYTES);
    } catch (error) {
      return failureOf(error);
    }
    if (reply.statusCode !== 200) return readFailure(reply, text);
    const items = parseArray(text);
    if (items?.length !== bodies.length) {
      return { kind: 'unclear', reason: `200 that is not an answer to a batch: ${text.slice(0, 200)}` };
    }
    return { kind: 'items', items: items.map(readBatchItem) };
  }

  /**
   * Is a kept connection slower than a new one, as with the reference node? Asks /health a few times over either, of two
   * nodes at a time: a gateway that begins with a thousand nodes has other things to do.
   * @returns whether connections to this node are worth keeping; false when that could not be found out
   */
  async measureReuse(node: NodeTarget, timeoutMs: number): Promise<boolean> {
    return this.reuseTurns.run(() => this.measureReuseNow(node, timeoutMs));
  }

  private async measureReuseNow(node: NodeTarget, timeoutMs: number): Promise<boolean> {
    const { origin } = new URL(node.config.url);
    const kept = new Client(origin, { pipelining: 1, connect: { timeout: CONNECT_TIMEOUT_MS } });
    const timeOf = async (dispatcher: Dispatcher, reset: boolean): Promise<number> => {
      const startedAt = performance.now();
      const get = { method: 'GET', path: '/health', timeoutMs } as const;
      const reply = await this.request(node, 'health', get, { dispatcher, reset });
      await readText(reply, SMALL_REPLY_BYTES);
      if (reply.statusCode !== 200) throw new Error(`/health answered ${reply.statusCode}`);
      return performance.now() - startedAt;
    };
    try {
      await timeOf(kept, false);
      const reused: number[] = [];
      const fresh: number[] = [];
      for (let sample = 0; sample < REUSE_SAMPLES; sample += 1) {
        reused.push(await timeOf(kept, false));
        fresh.push(await timeOf(this.agent, true));
      }
      return Math.min(...reused) <= Math.min(...fresh) + STALL_MS;
    } catch {
      return false;
    } finally {
      await kept.destroy();
    }
  }

  /**
   * GET /api/jobs?id=…; hands out each row as soon as it has arrived whole.
   * Rows that were handed out count even if the reply then breaks off.
   */
  async results(
    node: NodeTarget,
    query: { readonly ids: readonly string[]; readonly intermediate: boolean },
    limits: { readonly timeoutMs: number; readonly maxRowBytes: number },
    onRow: (row: ResultRow | OversizeRow) => void,
  ): Promise<ResultsReply> {
    const parameters = new URLSearchParams(query.ids.map((id): [string, string] => ['id', id]));
    if (query.intermediate) parameters.set('intermediate', 'true');
    const path = `/api/jobs?${parameters.toString()}`;
    try {
      const get = { method: 'GET', path, timeoutMs: limits.timeoutMs } as const;
      const reply = await this.request(node, 'get_job', get);
      if (reply.statusCode !== 200) return readFailure(reply, await readText(reply, SMALL_REPLY_BYTES));
      const reader = new ResultRowReader(limits.maxRowBytes);
      // A row that was asked for twice comes twice.
      let rowsLeft = query.ids.length;
      for await (const chunk of steady(reply)) {
        for (const row of reader.push(chunk)) {
          if (rowsLeft === 0) throw new JsonSyntaxError('no more rows than were asked for', 0);
          rowsLeft -= 1;
          onRow(row);
        }
      }
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

  private async post(
    node: NodeTarget,
    body: Buffer,
    timeoutMs: number,
    traceparent?: Traceparent,
  ): Promise<{ reply: Dispatcher.ResponseData; text: string } | NodeFailure> {
    const headers = jsonHeaders(traceparent);
    try {
      const post = { method: 'POST', path: '/api/jobs', body, headers, timeoutMs } as const;
      const reply = await this.request(node, 'create_job', post);
      return { reply, text: await readText(reply, SMALL_REPLY_BYTES) };
    } catch (error) {
      return failureOf(error);
    }
  }

  private async request(
    node: NodeTarget,
    route: NodeRoute,
    options: { method: 'GET' | 'POST'; path: string; body?: Buffer; headers?: object; timeoutMs: number },
    over: { dispatcher: Dispatcher; reset: boolean } = {
      dispatcher: this.agent,
      reset: !node.reusesConnections,
    },
  ): Promise<Dispatcher.ResponseData> {
    const { origin, pathname } = new URL(node.config.url);
    const { budget } = node;
    const startedAt = performance.now();
    budget.sent(route, startedAt);
    try {
      const reply = await over.dispatcher.request({
        origin,
        path: (pathname === '/' ? '' : pathname) + options.path,
        method: options.method,
        body: options.body ?? null,
        headers: { ...node.config.headers, ...options.headers },
        reset: over.reset,
        headersTimeout: options.timeoutMs,
        bodyTimeout: options.timeoutMs,
      });
      const now = performance.now();
      this.metrics.nodeReplied(node.config.name, route, outcomeOf(reply.statusCode), now - startedAt);
      budget.replied(route, now, rateHeadersOf(reply.headers));
      if (reply.statusCode === 429) budget.limited(route, now, pauseOf(reply.headers));
      return reply;
    } catch (error) {
      const now = performance.now();
      this.metrics.nodeReplied(node.config.name, route, 'no_answer', now - startedAt);
      budget.replied(route, now, undefined);
      throw error;
    }
  }
}

export function jsonHeaders(traceparent: Traceparent | undefined): Record<string, string> {
  return { 'content-type': 'application/json', ...(traceparent === undefined ? {} : { traceparent }) };
}

export function outcomeOf(status: number): ReplyOutcome {
  if (status === 429) return 'limited';
  if (status >= 500) return 'server_error';
  return status >= 400 ? 'client_error' : 'ok';
}

const OPEN = Buffer.from('[');
const COMMA = Buffer.from(',');
const CLOSE = Buffer.from(']');

/** What a reply says of the node's rate limiter. */
export function rateHeadersOf(headers: Dispatcher.ResponseData['headers']): RateHeaders | undefined {
  const limit = Number(headers['ratelimit-limit']);
  const remaining = Number(headers['ratelimit-remaining']);
  const resetSeconds = Number(headers['ratelimit-reset']);
  const known = Number.isFinite(limit) && Number.isFinite(remaining) && Number.isFinite(resetSeconds);
  return known ? { limit, remaining, resetSeconds } : undefined;
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

/**
 * The body of a reply as it arrives. undici ends one that falls silent; this ends one that trickles, so that no node
 * holds a request, and what waits for it, for ever.
 */
async function* steady(reply: Dispatcher.ResponseData): AsyncGenerator<Buffer> {
  const startedAt = performance.now();
  let size = 0;
  for await (const chunk of reply.body) {
    size += (chunk as Buffer).length;
    if (performance.now() - startedAt > START_MS + size / SLOWEST_BYTES_PER_MS) {
      throw new Error(`a reply that trickled: ${size} bytes`);
    }
    yield chunk as Buffer;
  }
}

/** The body of a reply. @throws Error when it is too long, trickles, or breaks off */
export async function readText(reply: Dispatcher.ResponseData, limitBytes: number): Promise<string> {
  return (await readBytes(reply, limitBytes)).toString();
}

async function readBytes(reply: Dispatcher.ResponseData, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of steady(reply)) {
    size += chunk.length;
    if (size > limitBytes) throw new Error(`a reply of more than ${limitBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** What a node's answer to a submission of one job means. */
export function readSubmitReply(reply: Dispatcher.ResponseData, text: string): SubmitReply {
  if (reply.statusCode !== 200) return readRefusal(reply, text);
  const id = parseObject(text)?.['id'];
  if (typeof id === 'string') return { kind: 'accepted', id };
  return { kind: 'unclear', reason: `200 without a job id: ${text.slice(0, 200)}` };
}

/** `{}`, or from a node 0.x an id. */
function readDelegationReply(reply: Dispatcher.ResponseData, text: string): DelegationReply {
  if (reply.statusCode !== 200) return readRefusal(reply, text);
  const body = parseObject(text);
  if (body !== undefined && !('error' in body)) return { kind: 'accepted' };
  return { kind: 'unclear', reason: `200 that is not an answer of a node: ${text.slice(0, 200)}` };
}

function readRefusal(
  reply: Dispatcher.ResponseData,
  text: string,
): Extract<SubmitReply, { kind: 'refused' }> | NodeFailure {
  const body = parseObject(text);
  const status = reply.statusCode;
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

/** An item of a batch's answer: what a single submission would have been answered, without a status. */
function readBatchItem(item: unknown): SubmitReply {
  const { id, error, params } = (item ?? {}) as Record<string, unknown>;
  if (typeof id === 'string') return { kind: 'accepted', id };
  if (typeof error !== 'string') {
    return { kind: 'unclear', reason: `neither an id nor an error: ${JSON.stringify(item)}` };
  }
  const details = typeof params === 'object' && params !== null ? (params as Record<string, unknown>) : {};
  return { kind: 'refused', status: 405, reason: error, params: details };
}

function parseArray(text: string): unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** What an answer means that is no success. */
export function readFailure(reply: Dispatcher.ResponseData, text: string): NodeFailure {
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

/** What it means that there was no answer. */
export function failureOf(error: unknown): NodeFailure {
  const code = codeOf(error);
  const reason = messageOf(error) || code || 'unknown network failure';
  // What nothing was written on has not carried this request.
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
