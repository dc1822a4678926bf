import { FastifyAdapter } from '@nestjs/platform-fastify';
import { GatewayError } from '../errors.js';
import { BODY_LIMIT_BYTES } from '../protocol/job-request.js';

/**
 * The Fastify server under Nest. Every body is handed on as the bytes that came: jobs are sliced, never parsed
 * and written again (G3), and admin calls parse where they validate.
 *
 * @param trustProxy whose X-Forwarded-For is believed; see the setting TRUST_PROXY
 * @param isStopping once true, replies close their connections, so that a stop does not wait for idle ones
 */
export function createHttpAdapter(trustProxy: boolean | string, isStopping: () => boolean): FastifyAdapter {
  const adapter = new FastifyAdapter({
    trustProxy,
    // While stopping, submissions are refused by the application, in the shape that callers know.
    return503OnClosing: false,
    bodyLimit: BODY_LIMIT_BYTES,
    // A submission may be 16 MiB and slow; what never finishes is cut.
    requestTimeout: 120_000,
  });
  const server = adapter.getInstance();
  server.removeAllContentTypeParsers();
  // Fastify would refuse a content type that is none at all; a batch is taken with any, as a node does.
  server.addHook('onRequest', (request, _reply, done) => {
    const given = request.raw.headers['content-type'];
    if (given !== undefined && !/^[\w.!#$&^+-]+\/[\w.!#$&^+-]+\s*(?:;|$)/.test(given)) {
      request.raw.headers['content-type'] = 'application/octet-stream';
    }
    done();
  });
  server.addHook('onSend', (_request, reply, payload, done) => {
    if (isStopping()) void reply.header('connection', 'close');
    done(null, payload);
  });
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  return adapter;
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
