import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest, RawRequestDefaultExpression } from 'fastify';
import type { Settings } from '../config/settings.js';
import { GatewayError } from '../errors.js';
import type { Metrics } from '../metrics/metrics.js';
import { BODY_LIMIT_BYTES } from '../protocol/job-request.js';
import { errorBody } from './error-body.js';
import type { OpenRequests } from './open-requests.js';
import { requestIdOf } from './request-id.js';
import { Routes } from './routes.js';
import { SECURITY_HEADERS, setSecurityHeaders } from './security-headers.js';

/** The head of a request, of which `id=` parameters are the largest part, as with a node; docs/protocol.md §1. */
const HEAD_LIMIT_BYTES = 16_384;

/** A connection on which nothing moves for so long is dropped, in ms; longer than any wait that callers may ask for. */
const SILENCE_LIMIT_MS = 600_000;

/** Limits on what callers may do to the server. */
export type HttpLimits = Pick<
  Settings,
  'trustProxy' | 'headersTimeoutMs' | 'requestTimeoutMs' | 'maxConnections'
>;

/**
 * The Fastify server under Nest. Every body is handed on as the bytes that came: jobs are sliced, never parsed
 * and written again (G3), and admin calls parse where they validate.
 *
 * @param requests counts the requests that are being answered
 * @param metrics told of each request when its answer is sent or its caller gone
 */
export function createHttpAdapter(
  limits: HttpLimits,
  requests: OpenRequests,
  metrics: Metrics,
): FastifyAdapter {
  const { headersTimeoutMs, requestTimeoutMs } = limits;
  const adapter = new FastifyAdapter({
    trustProxy: limits.trustProxy,
    genReqId: (request: RawRequestDefaultExpression) => requestIdOf(request.headers['x-request-id']),
    // While stopping, submissions are refused by the application, in the shape that callers know.
    return503OnClosing: false,
    bodyLimit: BODY_LIMIT_BYTES,
    // A submission may be 16 MiB and slow; what never finishes is cut, and so is who connects and says nothing.
    requestTimeout: requestTimeoutMs,
    connectionTimeout: SILENCE_LIMIT_MS,
    http: {
      headersTimeout: Math.min(headersTimeoutMs, requestTimeoutMs),
      requestTimeout: requestTimeoutMs,
      // Those limits are looked after this often.
      connectionsCheckingInterval: Math.min(5_000, Math.ceil(headersTimeoutMs / 4)),
      maxHeaderSize: HEAD_LIMIT_BYTES,
    },
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      // No hook runs for these.
      setRequestId(reply, request);
      setSecurityHeaders(reply.raw, request.url);
      const { type, body } = errorBody(request.url, {
        status: 400,
        code: 'MALFORMED_REQUEST',
        message: `The URL cannot be decoded: ${error.message}`,
        params: { field: 'url' },
      });
      void reply.status(400).type(type).send(body);
    },
    clientErrorHandler: refuseUnreadable,
  });
  const server = adapter.getInstance();
  server.server.maxConnections = limits.maxConnections;
  server.removeAllContentTypeParsers();
  const routes = new Routes();
  server.addHook('onRoute', ({ method, url }) => routes.add([method].flat(), url));
  server.addHook('onRequest', (request, reply, done) => {
    requests.add(reply.raw);
    measure(request, reply, metrics);
    setRequestId(reply, request);
    done();
  });
  server.addHook('onRequest', (request, reply, done) => {
    setSecurityHeaders(reply.raw, request.url);
    const allowed = routes.insteadOf(request.method, request.url, !request.is404);
    if (allowed === undefined) done();
    else refuseMethod(request, reply, allowed);
  });
  // Fastify would refuse a content type that is none at all; a batch is taken with any, as a node does.
  server.addHook('onRequest', (request, _reply, done) => {
    const given = request.raw.headers['content-type'];
    if (given !== undefined && !/^[\w.!#$&^+-]+\/[\w.!#$&^+-]+\s*(?:;|$)/.test(given)) {
      request.raw.headers['content-type'] = 'application/octet-stream';
    }
    done();
  });
  server.addHook('onSend', (_request, reply, payload, done) => {
    if (requests.closing) void reply.header('connection', 'close');
    done(null, payload);
  });
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  return adapter;
}

/** On the answer itself, as what Fastify keeps does not go out with an answer that is written past it, such as a stream. */
function setRequestId({ raw }: FastifyReply, request: FastifyRequest): void {
  raw.setHeader('x-request-id', request.id);
}

/** By route template, so that the number of series does not grow with ids; what has none counts as `unmatched`. */
function measure(request: FastifyRequest, { raw }: FastifyReply, metrics: Metrics): void {
  const startedAt = performance.now();
  raw.once('close', () => {
    const route = request.routeOptions.url ?? 'unmatched';
    const status = raw.writableFinished ? String(raw.statusCode) : 'aborted';
    metrics.requestAnswered(request.method, route, status, performance.now() - startedAt);
  });
}

/** A path that exists, but not with this method. */
function refuseMethod(request: FastifyRequest, reply: FastifyReply, methods: readonly string[]): void {
  const allow = methods.join(', ');
  const { type, body } = errorBody(request.url, {
    status: 405,
    code: 'HTTP_ERROR',
    message: `${request.method} is not possible here; possible are ${allow}`,
    params: { methods },
  });
  void reply.status(405).header('allow', allow).type(type).send(body);
}

const UNREADABLE: Readonly<Record<string, { status: number; error: string }>> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    error: `The head of the request is larger than ${HEAD_LIMIT_BYTES} bytes`,
  },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, error: 'The request took too long to arrive' },
};

/** Answers what the HTTP parser gave up on, and closes the connection. */
function refuseUnreadable(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const { status, error: text } = UNREADABLE[error.code ?? ''] ?? { status: 400, error: 'This is not HTTP' };
  const body = `${JSON.stringify({ error: text, params: {} })}\n`;
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
    ...SECURITY_HEADERS,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  if (socket.writable) {
    socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`);
  }
  socket.destroySoon();
}

/**
 * The bytes of a request; empty when it had none.
 * @throws GatewayError UNSUPPORTED_MEDIA_TYPE unless the content type is JSON
 */
export function jsonBytes(body: unknown, contentType: string | undefined): Buffer {
  if (!/^application\/(?:[\w.!#$&^-]+\+)?json\s*(?:;|$)/i.test(contentType ?? '')) {
    const given = contentType === undefined ? 'none' : JSON.stringify(contentType);
    throw new GatewayError('UNSUPPORTED_MEDIA_TYPE', `Content-Type must be application/json, not ${given}`, {
      field: 'content-type',
    });
  }
  return bytesOfBody(body);
}

/** The bytes of a request of any content type; empty when it had none. */
export function bytesOfBody(body: unknown): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0);
}
