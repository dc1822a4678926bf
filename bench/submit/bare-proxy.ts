import Fastify from 'fastify';
import { Pool } from 'undici';

/**
 * What Fastify and undici cost when nothing is kept: hands each body on and each answer back.
 * Usage: bare-proxy.ts <url of the node>
 */
const node = new Pool(process.argv[2] as string, { connections: 64, pipelining: 1 });
const server = Fastify();
server.removeAllContentTypeParsers();
server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
server.post('/api/jobs', async (request, reply) => {
  const answer = await node.request({
    method: 'POST',
    path: '/api/jobs',
    headers: { 'content-type': 'application/json' },
    body: request.body as Buffer,
  });
  const bytes = Buffer.from(await answer.body.arrayBuffer());
  return reply.status(answer.statusCode).type('application/json').send(bytes);
});
console.log(`listens on ${await server.listen({ port: 0, host: '127.0.0.1' })}`);
