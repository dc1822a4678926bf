import { afterEach, expect, it } from 'vitest';

import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { GatewayProcess } from '../support/gateway-process.js';
import { json, send, type RawReply, type RawRequest } from '../support/http.js';
import { TestPostgres } from '../support/postgres.js';
import { waitUntil } from '../support/wait.js';

/** Everything that must not be logged, each recognisable. */
const SECRETS = {
  adminToken: 'secret-admin-token-4711',
  metricsToken: 'secret-metrics-token-4712',
  wrongToken: 'secret-wrong-token-4713',
  nodeHeader: 'secret-node-header-4714',
  bearer: 'secret-node-bearer-4715',
  query: 'secret-in-the-query-4716',
  cookie: 'secret-cookie-4717',
  payload: 'secret-payload-4718',
  redisPassword: 'secret-redis-password-4719',
};

let server: TestPostgres;
let node: EmulatedNode;
let gateway: GatewayProcess;
afterEach(async () => {
  await gateway.kill();
  await node.stop();
  await server.stop();
});

it('at trace level each line is JSON with the ids of request and job, and none has a secret or a payload', async () => {
  server = await TestPostgres.start();
  node = await EmulatedNode.start({ rateLimit: false });
  const password = new URL(server.url).password;
  gateway = await GatewayProcess.start({
    DATABASE_URL: server.url,
    // Nobody listens there: the errors of a queue that cannot be reached are part of it.
    REDIS_URL: `redis://user:${SECRETS.redisPassword}@127.0.0.1:1/`,
    ADMIN_TOKEN: SECRETS.adminToken,
    METRICS_TOKEN: SECRETS.metricsToken,
    LOG_LEVEL: 'trace',
    RETRY_BASE_MS: '10',
    MAX_ATTEMPTS: '2',
  });
  const call = (path: string, options: RawRequest = {}): Promise<RawReply> =>
    send(gateway.url + path, {
      ...options,
      headers: { cookie: SECRETS.cookie, 'content-type': 'application/json', ...options.headers },
    });
  const headers = { authorization: `Bearer ${SECRETS.adminToken}` };
  const post = async (containers: string[], requestId: string): Promise<string> => {
    const body = JSON.stringify({ containers, data: { text: SECRETS.payload } });
    const reply = await call('/api/jobs', { method: 'POST', body, headers: { 'x-request-id': requestId } });
    expect([reply.status, reply.headers['x-request-id']]).toEqual([200, requestId]);
    return json<{ id: string }>(reply).id;
  };

  const registration = {
    url: node.url,
    headers: { 'x-api-key': SECRETS.nodeHeader, authorization: `Bearer ${SECRETS.bearer}` },
  };
  const registered = await call('/admin/nodes', {
    method: 'POST',
    headers,
    body: JSON.stringify(registration),
  });
  expect(registered.status).toBe(201);
  await waitUntil(
    'the node is up',
    async () => json<{ nodes: { up: number } }>(await call('/ready')).nodes.up === 1,
  );
  const done = await post(['echo'], 'request-of-the-echo');
  const failed = await post(['always-fails'], 'request-of-the-failure');
  await node.faults.set({ error500Html: { times: 2, method: 'POST' } });
  const retried = await post(['echo'], 'request-of-the-retry');
  await waitUntil('the jobs have ended', async () => {
    const rows = json<{ status: string }[]>(await call(`/api/jobs?id=${done}&id=${failed}&id=${retried}`));
    return rows.every(({ status }) => status !== 'running');
  });
  await call(`/api/jobs?id=${SECRETS.query}&token=${SECRETS.query}`);
  await call('/admin/nodes', { headers: { authorization: `Bearer ${SECRETS.wrongToken}` } });
  await call('/metrics', { headers: { authorization: `Bearer ${SECRETS.metricsToken}` } });
  await call('/api/jobs', { method: 'POST', body: `{"containers":["echo"],"data":"${SECRETS.payload}` });
  const tooLong = 'x'.repeat(200);
  const answer = await call('/health', { headers: { 'x-request-id': tooLong } });
  expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  await server.crash();
  await call('/api/jobs', {
    method: 'POST',
    body: JSON.stringify({ containers: ['echo'], data: { text: SECRETS.payload } }),
  });
  await server.revive();
  await waitUntil('it is ready again', async () => (await call('/ready')).status === 200);
  gateway.signal('SIGTERM');
  await gateway.ended();

  const { output } = gateway;
  for (const [name, secret] of Object.entries({ ...SECRETS, password }))
    expect(output, name).not.toContain(secret);
  // The announcements of the start are for people; everything after them is for machines.
  const lines = output
    .slice(output.indexOf('listens on'))
    .split('\n')
    .slice(1)
    .filter((line) => line !== '');
  const log = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(log).toContainEqual(expect.objectContaining({ requestId: 'request-of-the-echo', jobId: done }));
  expect(log).toContainEqual(
    expect.objectContaining({
      jobId: done,
      attemptId: done,
      node: new URL(node.url).host,
      msg: 'The attempt succeeded',
    }),
  );
  expect(log).toContainEqual(expect.objectContaining({ jobId: failed, msg: 'The attempt failed' }));
  const request = log.find(
    ({ requestId, req }) => requestId === 'request-of-the-failure' && req !== undefined,
  );
  expect(request?.['req']).toEqual({ method: 'POST', path: '/api/jobs', remoteAddress: '127.0.0.1' });
});

it.each(['info', 'debug'])('at %s a request that failed is logged with its id', async (level) => {
  server = await TestPostgres.start();
  node = await EmulatedNode.start({ rateLimit: false });
  gateway = await GatewayProcess.start({ DATABASE_URL: server.url, NODES: node.url, LOG_LEVEL: level });
  await server.crash();
  const headers = { 'content-type': 'application/json', 'x-request-id': 'request-without-a-database' };
  const body = '{"containers":["echo"],"data":{}}';
  await waitUntil('it is refused', async () => {
    return (await send(`${gateway.url}/api/jobs`, { method: 'POST', headers, body })).status === 503;
  });
  const line = await waitUntil('it is logged', () =>
    gateway.output.split('\n').find((one) => one.includes('"err"') && one.includes('"/api/jobs"')),
  );
  // Once: not every reader takes a member that is there twice.
  expect(line.split('"requestId":"request-without-a-database"')).toHaveLength(2);
});
