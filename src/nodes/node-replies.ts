import { performance } from 'node:perf_hooks';
import { errors, type Dispatcher } from 'undici';
import { messageOf } from '../errors.js';
import type { ReplyOutcome } from '../metrics/metrics.js';
import type { RateHeaders } from './rate-budget.js';

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
/** A body that comes in more slowly than this is given up, after a start of so many ms; bytes in a ms. */
const SLOWEST_BYTES_PER_MS = 16;
const START_MS = 3_000;

export function outcomeOf(status: number): ReplyOutcome {
  if (status === 429) return 'limited';
  if (status >= 500) return 'server_error';
  return status >= 400 ? 'client_error' : 'ok';
}

/** What a reply says of the node's rate limiter. */
export function rateHeadersOf(headers: Dispatcher.ResponseData['headers']): RateHeaders | undefined {
  const limit = Number(headers['ratelimit-limit']);
  const remaining = Number(headers['ratelimit-remaining']);
  const resetSeconds = Number(headers['ratelimit-reset']);
  const known = Number.isFinite(limit) && Number.isFinite(remaining) && Number.isFinite(resetSeconds);
  return known ? { limit, remaining, resetSeconds } : undefined;
}

/**
 * The body of a reply as it arrives. undici ends one that falls silent; this ends one that trickles, so that no node
 * holds a request, and what waits for it, for ever.
 */
export async function* steady(reply: Dispatcher.ResponseData): AsyncGenerator<Buffer> {
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

export async function readBytes(reply: Dispatcher.ResponseData, limitBytes: number): Promise<Buffer> {
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
export function readDelegationReply(reply: Dispatcher.ResponseData, text: string): DelegationReply {
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
export function readBatchItem(item: unknown): SubmitReply {
  const { id, error, params } = (item ?? {}) as Record<string, unknown>;
  if (typeof id === 'string') return { kind: 'accepted', id };
  if (typeof error !== 'string') {
    return { kind: 'unclear', reason: `neither an id nor an error: ${JSON.stringify(item)}` };
  }
  const details = typeof params === 'object' && params !== null ? (params as Record<string, unknown>) : {};
  return { kind: 'refused', status: 405, reason: error, params: details };
}

export function parseArray(text: string): unknown[] | undefined {
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
export function pauseOf(headers: Dispatcher.ResponseData['headers']): number {
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

export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  if (typeof code === 'string') return code;
  // Happy Eyeballs wraps one error for each address it tried.
  const first = error instanceof AggregateError ? (error.errors[0] as unknown) : undefined;
  return first === undefined ? undefined : codeOf(first);
}
