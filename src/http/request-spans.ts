import type { FastifyInstance } from 'fastify';
import { beginSpan, callersTraceparent } from '../tracing/tracing.js';

/** Asked so often, and by machines, that their spans would only be in the way. */
const UNTRACED = new Set(['/live', '/ready', '/metrics', '/health']);

/** A span for each request, in the trace of its caller if it has one; current while the request is served. */
export function traceRequests(server: FastifyInstance): void {
  server.addHook('onRequest', (request, reply, done) => {
    const { method } = request;
    const route = request.routeOptions.url;
    if (route !== undefined && UNTRACED.has(route)) return done();
    const span = beginSpan(route === undefined ? method : `${method} ${route}`, {
      kind: 'server',
      parent: callersTraceparent(request.headers),
      attributes: {
        'http.request.method': method,
        'infernet.request.id': request.id,
        ...(route === undefined ? {} : { 'http.route': route }),
      },
    });
    if (span === undefined) return done();
    const { raw } = reply;
    raw.once('close', () => {
      const error = !raw.writableFinished ? 'aborted' : raw.statusCode >= 500 ? 'server error' : undefined;
      span.end({ 'http.response.status_code': raw.statusCode }, error);
    });
    span.within(done);
  });
}
