import { performance } from 'node:perf_hooks';
import type { Readable } from 'node:stream';
import { Agent, type Dispatcher } from 'undici';
import { messageOf } from '../errors.js';
import type { Metrics, ReplyOutcome } from '../metrics/metrics.js';
import { JsonSyntaxError } from '../protocol/raw-json.js';
import { StreamRowReader, type StreamRow } from '../protocol/stream-row.js';
import type { TracedSpan, Traceparent } from '../tracing/tracing.js';
import { CONNECT_TIMEOUT_MS, KEPT_CONNECTIONS, jsonHeaders, type NodeTarget } from './node-client.js';
import {
  SMALL_REPLY_BYTES,
  failureOf,
  outcomeOf,
  pauseOf,
  rateHeadersOf,
  readFailure,
  readSubmitReply,
  readText,
  type NodeFailure,
  type SubmitReply,
} from './node-replies.js';
import { beginRequestSpan, endRequestSpan } from './request-span.js';

/** What became of asking a node for a stream. */
export type StreamReply =
  /** 200: `body` gives the node's bytes as they come, its id line first, and throws where they break off. */
  | { readonly kind: 'streaming'; readonly contentType: string; readonly body: Readable }
  | Exclude<SubmitReply, { kind: 'accepted' }>;

/** What a node says of a stream that has ended. */
export type StreamRowReply =
  | { readonly kind: 'row'; readonly row: StreamRow }
  /** It answers, and does not know the job. */
  | { readonly kind: 'absent' }
  | NodeFailure;

interface Request {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: Buffer;
  readonly traceparent?: Traceparent | undefined;
}

/** A request on behalf of somebody who waits. */
export interface OnBehalf {
  /** The caller's address: whose rate budget is spent. Undefined spends the gateway's own. */
  readonly address: string | undefined;
  readonly signal: AbortSignal;
  /** How long the node may take to begin its answer, in ms. */
  readonly timeoutMs: number;
}

/**
 * Asks nodes for streams. They carry the address of the caller, so that each caller spends a budget of its own at the
 * node (docs/protocol.md §4), and what the node says of that budget teaches nothing about the gateway's. Any
 * number of streams may be open, each on a connection that is kept afterwards only where that is worth it.
 */
export class StreamClient {
  private readonly agent = new Agent({
    pipelining: 1,
    connect: { timeout: CONNECT_TIMEOUT_MS },
    ...KEPT_CONNECTIONS,
  });

  constructor(private readonly metrics: Metrics) {}

  /**
   * POST /api/jobs/stream with the exact bytes of `body`. Never throws for what a node does; when the signal aborts, it
   * says `unclear`. The body's bytes are read no faster than they are taken.
   * @param span what the request is for; its own span ends with the head of the answer
   */
  async open(node: NodeTarget, body: Buffer, on: OnBehalf, span?: TracedSpan): Promise<StreamReply> {
    const request = beginRequestSpan('/api/jobs/stream', node, span);
    const reply = await this.post(node, body, on, request?.traceparent);
    endRequestSpan(request, reply.kind);
    return reply;
  }

  /** GET /api/jobs?id=… for one stream. @param keepBytes a longer result is not kept */
  async row(node: NodeTarget, id: string, keepBytes: number, on: OnBehalf): Promise<StreamRowReply> {
    try {
      const path = `/api/jobs?id=${encodeURIComponent(id)}`;
      const reply = await this.request(node, { method: 'GET', path }, on);
      if (reply.statusCode !== 200) return readFailure(reply, await readText(reply, SMALL_REPLY_BYTES));
      const reader = new StreamRowReader(keepBytes);
      for await (const chunk of reply.body) reader.push(chunk as Buffer);
      const row = reader.end();
      return row?.id === id ? { kind: 'row', row } : { kind: 'absent' };
    } catch (error) {
      if (error instanceof JsonSyntaxError) return { kind: 'error', reason: messageOf(error) };
      return failureOf(error);
    }
  }

  async close(): Promise<void> {
    await this.agent.destroy();
  }

  private async post(
    node: NodeTarget,
    body: Buffer,
    on: OnBehalf,
    traceparent: Traceparent | undefined,
  ): Promise<StreamReply> {
    try {
      const post = { method: 'POST', path: '/api/jobs/stream', body, traceparent } as const;
      const reply = await this.request(node, post, on);
      if (reply.statusCode === 200) {
        // It may break before anybody reads it, or be let go unread.
        reply.body.on('error', () => undefined);
        const contentType = String(reply.headers['content-type'] ?? 'text/html; charset=utf-8');
        return { kind: 'streaming', contentType, body: reply.body };
      }
      const answer = readSubmitReply(reply, await readText(reply, SMALL_REPLY_BYTES));
      if (answer.kind !== 'accepted') return answer;
      return { kind: 'unreachable', reason: `an id instead of a stream` };
    } catch (error) {
      return failureOf(error);
    }
  }

  private async request(
    node: NodeTarget,
    { method, path, body, traceparent }: Request,
    { address, signal, timeoutMs }: OnBehalf,
  ): Promise<Dispatcher.ResponseData> {
    const { origin, pathname } = new URL(node.config.url);
    const startedAt = performance.now();
    const count = (outcome: ReplyOutcome): void => {
      const route = method === 'POST' ? 'create_job_stream' : 'get_job';
      this.metrics.nodeReplied(node.config.name, route, outcome, performance.now() - startedAt);
    };
    const budget = address === undefined ? node.budget : undefined;
    budget?.sent('get_job', startedAt);
    try {
      const reply = await this.agent.request({
        origin,
        path: (pathname === '/' ? '' : pathname) + path,
        method,
        body: body ?? null,
        headers: headersFor(node, body === undefined ? {} : jsonHeaders(traceparent), address),
        signal,
        reset: !node.reusesConnections,
        headersTimeout: timeoutMs,
        // A container may think for long; how long a stream may take in all is the caller's concern.
        bodyTimeout: method === 'POST' ? 0 : timeoutMs,
      });
      count(outcomeOf(reply.statusCode));
      const now = performance.now();
      budget?.replied('get_job', now, rateHeadersOf(reply.headers));
      if (reply.statusCode === 429) budget?.limited('get_job', now, pauseOf(reply.headers));
      return reply;
    } catch (error) {
      budget?.replied('get_job', performance.now(), undefined);
      // That nobody waits for an answer any more says nothing of the node.
      if (!signal.aborted) count('no_answer');
      throw error;
    }
  }
}

/** The caller's address takes the place of any that an operator has configured for the node. */
function headersFor(
  { config }: NodeTarget,
  own: Readonly<Record<string, string>>,
  address: string | undefined,
): Record<string, string> {
  const headers: Record<string, string> = { ...config.headers, ...own };
  if (address === undefined) return headers;
  for (const name of Object.keys(headers)) if (name.toLowerCase() === 'x-forwarded-for') delete headers[name];
  return { ...headers, 'x-forwarded-for': address };
}
