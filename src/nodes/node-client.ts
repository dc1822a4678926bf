import { performance } from 'node:perf_hooks';
import { Agent, Client, type Dispatcher } from 'undici';
import { messageOf } from '../errors.js';
import { NoMetrics, type Metrics } from '../metrics/metrics.js';
import { lacksChain, parseChain, parseNodeInfo, type NodeInfo } from '../protocol/node-info.js';
import { JsonSyntaxError } from '../protocol/raw-json.js';
import { ResultRowReader, type OversizeRow, type ResultRow } from '../protocol/result-rows.js';
import type { Traceparent } from '../tracing/tracing.js';
import {
  codeOf,
  failureOf,
  outcomeOf,
  parseArray,
  pauseOf,
  rateHeadersOf,
  readBatchItem,
  readBytes,
  readDelegationReply,
  readFailure,
  readSubmitReply,
  readText,
  SMALL_REPLY_BYTES,
  steady,
  type BatchReply,
  type DelegationReply,
  type NodeFailure,
  type SubmitReply,
} from './node-replies.js';
import type { NodeRoute, RateBudget } from './rate-budget.js';
import { Turns } from './turns.js';

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

/** What became of asking for results; rows were handed out as they arrived. */
export type ResultsReply = { readonly kind: 'complete' } | NodeFailure;

export const CONNECT_TIMEOUT_MS = 3_000;
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
 * Asks nodes in the Infernet protocol; node-replies.ts tells what they answer. It makes one request for each
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

  /** GET /info, and what a node of 0.2.0 tells elsewhere instead. @throws NodeUnavailable, NodeLimited */
  async info(node: NodeTarget, timeoutMs: number): Promise<{ info: NodeInfo; latencyMs: number }> {
    const startedAt = performance.now();
    try {
      const reply = await this.request(node, 'info', { method: 'GET', path: '/info', timeoutMs });
      const text = await readText(reply, SMALL_REPLY_BYTES);
      if (reply.statusCode !== 200) throw unusable('/info', reply);
      const latencyMs = performance.now() - startedAt;
      const info = parseNodeInfo(text);
      if (!lacksChain(text)) return { info, latencyMs };
      return { info: { ...info, chain: (await this.chain(node, timeoutMs)) ?? info.chain }, latencyMs };
    } catch (error) {
      if (error instanceof NodeLimited) throw error;
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
      if (reply.statusCode !== 200) throw unusable(path, reply);
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

const OPEN = Buffer.from('[');
const COMMA = Buffer.from(',');
const CLOSE = Buffer.from(']');

function unusable(path: string, { statusCode }: Dispatcher.ResponseData): Error {
  const message = `${path} answered ${statusCode}`;
  return statusCode === 429 ? new NodeLimited(message) : new Error(message);
}

/** /info was answered 429: somebody is there, and says nothing of the node. */
export class NodeLimited extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NodeLimited';
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
