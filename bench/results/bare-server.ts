import Fastify from 'fastify';
import pg from 'pg';
import { resultList, type StoredJob } from '../../src/jobs/result-list.js';

/**
 * What Fastify and pg cost when they do nothing but run the gateway's own queries and write down what comes.
 * Usage: bare-server.ts <url of the database>
 */
const RESULTS = `
  SELECT jobs.id, jobs.state::text AS state, result, intermediate
  FROM jobs LEFT JOIN job_results ON job_results.job_id = jobs.id AND job_results.generation = jobs.generation
  WHERE jobs.id = ANY($1::uuid[]) AND caller = $2`;
const IDS = `
  SELECT id::text FROM jobs WHERE caller = $1
  UNION ALL
  SELECT id FROM recorded_statuses WHERE caller = $1`;

const pool = new pg.Pool({ connectionString: process.argv[2], max: 10 });
const server = Fastify({ trustProxy: true });
server.get<{ Querystring: { id?: string | string[] } }>('/api/jobs', async (request, reply) => {
  const { id } = request.query;
  const caller = request.ip === '127.0.0.1' ? 'loopback' : request.ip;
  if (id === undefined) {
    const { rows } = await pool.query<{ id: string }>({ name: 'ids', text: IDS, values: [caller] });
    return reply.type('application/json').send(`${JSON.stringify(rows.map((row) => row.id))}\n`);
  }
  const ids = [id].flat();
  const { rows } = await pool.query<StoredJob>({ name: 'results', text: RESULTS, values: [ids, caller] });
  return reply
    .type('application/json')
    .send(resultList(ids, new Map(rows.map((row) => [row.id, row])), false));
});
console.log(`listens on ${await server.listen({ port: 0, host: '127.0.0.1' })}`);
