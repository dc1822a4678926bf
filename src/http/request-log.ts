import { performance } from 'node:perf_hooks';
import type { FastifyInstance } from 'fastify';
import type { PinoLogger } from 'nestjs-pino';

/**
 * Gives every line that is logged while a request is served its `requestId`, and logs the request itself at `debug` when
 * its answer is sent or its caller gone.
 */
export function logRequests(server: FastifyInstance, logger: PinoLogger): void {
  server.addHook('onRequest', (request, reply, done) => {
    const startedAt = performance.now();
    const { logger: root } = logger;
    if (root.isLevelEnabled('debug')) {
      reply.raw.once('close', () => {
        const fields = { requestId: request.id, req: request.raw, res: reply.raw };
        const ms = Math.round(performance.now() - startedAt);
        root.debug({ ...fields, ms }, reply.raw.writableFinished ? 'Answered' : 'The caller went away');
      });
    }
    logger.runInContext(done, { bindings: { requestId: request.id } });
  });
}
