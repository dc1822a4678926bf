import { performance } from 'node:perf_hooks';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { PinoLogger } from 'nestjs-pino';

/** Requests whose lines have their id without being told. */
const followed = new WeakSet<FastifyRequest>();

/**
 * At `debug`: gives every line that is logged while a request is served its `requestId`, and logs the request itself when its
 * answer is sent or its caller gone. Otherwise nearly nothing is logged for a request but its failure, which names the
 * id itself (error-filter.ts), and following each request through all that it sets going would cost everything a tenth more
 * on Node 20, which hooks into every promise for it.
 */
export function logRequests(server: FastifyInstance, logger: PinoLogger): void {
  server.addHook('onRequest', (request, reply, done) => {
    const { logger: root } = logger;
    if (!root.isLevelEnabled('debug')) return done();
    const startedAt = performance.now();
    reply.raw.once('close', () => {
      const fields = { requestId: request.id, req: request.raw, res: reply.raw };
      const ms = Math.round(performance.now() - startedAt);
      root.debug({ ...fields, ms }, reply.raw.writableFinished ? 'Answered' : 'The caller went away');
    });
    followed.add(request);
    logger.runInContext(done, { bindings: { requestId: request.id } });
  });
}

/** What a line on this request has to say for itself, so that it names the request once. */
export function requestFieldsOf(request: FastifyRequest): { requestId?: string; path: string } {
  const path = request.url.split('?', 1)[0] ?? '';
  return followed.has(request) ? { path } : { requestId: request.id, path };
}
