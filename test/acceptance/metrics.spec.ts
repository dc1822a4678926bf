import { afterAll, beforeAll, expect, it } from 'vitest';

import { startTestGateway, TestGateway, type TestFleet } from '../support/gateway.js';
import { TestPostgres } from '../support/postgres.js';
import { StreamCaller } from '../support/stream-caller.js';
import { waitUntil } from '../support/wait.js';

const METRICS_TOKEN = 'a-metrics-token-of-the-tests';

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await startTestGateway({
    settings: { METRICS_TOKEN },
    nodes: [{}, { rateLimit: { limit: 600, periodMs: 60_000 } }],
  });
});
afterAll(async () => {
  await fleet.stop();
});

/** Series with their labels → value. */
async function scrape(gateway: TestGateway = fleet.gateway): Promise<Map<string, number>> {
  const reply = await gateway.send('/metrics', { headers: { authorization: `Bearer ${METRICS_TOKEN}` } });
  expect(reply.status).toBe(200);
  expect(reply.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
  const lines = reply.text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

const sum = (series: Map<string, number>, pattern: RegExp): number =>
  [...series].filter(([name]) => pattern.test(name)).reduce((total, [, value]) => total + value, 0);

it('is closed to those without a token, and METRICS_TOKEN opens nothing else', async () => {
  for (const headers of [{}, { authorization: 'Bearer wrong-wrong-wrong-wrong' }] as Record<
    string,
    string
  >[]) {
    const reply = await fleet.gateway.send('/metrics', { headers });
    expect([reply.status, reply.headers['www-authenticate']]).toEqual([401, 'Bearer']);
    expect(reply.text).not.toContain('infernet_gateway_');
  }
  const headers = { authorization: `Bearer ${fleet.gateway.adminToken}` };
  expect((await fleet.gateway.send('/metrics', { headers })).status).toBe(200);
  const admin = { authorization: `Bearer ${METRICS_TOKEN}` };
  expect((await fleet.gateway.send('/admin/nodes', { headers: admin })).status).toBe(401);
});

it('METRICS_ACCESS=open opens it to everybody', async () => {
  const gateway = await TestGateway.start({ METRICS_ACCESS: 'open' });
  try {
    expect((await gateway.send('/metrics')).text).toContain('infernet_gateway_jobs{state="queued"} 0\n');
  } finally {
    await gateway.stop();
  }
});

it('counts jobs, attempts, requests and commits as they happen, without ids or addresses', async () => {
  const { gateway, registered } = fleet;
  const before = await scrape();
  const ids = await Promise.all(Array.from({ length: 20 }, (_, n) => gateway.submit(['echo'], { n })));
  const failing = await gateway.submit(['always-fails'], {});
  await gateway.finished([...ids, failing]);
  const after = await scrape();
  const grew = (pattern: RegExp): number => sum(after, pattern) - sum(before, pattern);
  expect(grew(/^infernet_gateway_jobs_accepted_total$/)).toBe(21);
  expect(grew(/^infernet_gateway_jobs_ended_total\{outcome="succeeded"\}/)).toBe(20);
  expect(grew(/^infernet_gateway_jobs_ended_total\{outcome="failed"\}/)).toBe(1);
  expect(grew(/^infernet_gateway_job_duration_seconds_count/)).toBe(21);
  expect(grew(/^infernet_gateway_queue_wait_seconds_count/)).toBe(21);
  expect(grew(/^infernet_gateway_attempts_total\{.*outcome="succeeded"/)).toBe(20);
  expect(grew(/^infernet_gateway_node_service_seconds_count/)).toBe(21);
  expect(grew(/^infernet_gateway_collector_lag_seconds_count/)).toBe(21);
  expect(grew(/^infernet_gateway_commit_group_size_sum\{group="admissions"\}/)).toBe(21);
  expect(grew(/^infernet_gateway_commit_group_size_sum\{group="results"\}/)).toBe(21);
  expect(grew(/^infernet_gateway_node_requests_total\{.*route="create_job.*outcome="ok"/)).toBeGreaterThan(0);
  expect(
    grew(
      /^infernet_gateway_http_request_duration_seconds_count\{method="POST",route="\/api\/jobs",status="200"\}/,
    ),
  ).toBe(21);
  const text = [...after.keys()].join('\n');
  for (const id of [...ids, ...registered.map((node) => node.id)]) expect(text).not.toContain(id);
  expect(text).not.toMatch(/loopback/);
});

it('counts streams like other jobs, and those that were turned away not at all', async () => {
  const { gateway, nodes } = fleet;
  const before = await scrape();
  const stream = (data: object): StreamCaller => StreamCaller.start(gateway.url, ['pieces'], data);
  expect(await stream({ count: 2 }).ended).toBe(true);
  expect(await stream({ count: 5, fail_after: 2 }).ended).toBe(false);
  await Promise.all(nodes.map((node) => node.faults.set({ error500Html: true })));
  const refused = stream({ count: 2 });
  await refused.ended;
  expect(refused.status).toBe(503);
  await Promise.all(nodes.map((node) => node.faults.clear()));
  const after = await scrape();
  const grew = (pattern: RegExp): number => sum(after, pattern) - sum(before, pattern);
  expect(grew(/^infernet_gateway_jobs_accepted_total$/)).toBe(2);
  expect(grew(/^infernet_gateway_jobs_ended_total/)).toBe(2);
  const requests = /^infernet_gateway_node_requests_total\{.*route="create_job_stream"/;
  const ok = new RegExp(`${requests.source},outcome="ok"`);
  expect(grew(ok)).toBe(2);
  expect(grew(requests)).toBe(4);
  expect(grew(/^infernet_gateway_node_request_duration_seconds_count\{.*create_job_stream/)).toBe(4);
});

it('tells the states of jobs and nodes', async () => {
  const { gateway, registered } = fleet;
  const id = await gateway.submit(['delay'], { ms: 60_000 });
  const series = await waitUntil('the job is seen to run', async () => {
    const found = await scrape();
    return found.get('infernet_gateway_jobs{state="running"}') === 1 ? found : undefined;
  });
  expect(series.get('infernet_gateway_ready')).toBe(1);
  expect(series.get('infernet_gateway_leases_held')).toBe(2);
  expect(series.get('infernet_gateway_nodes{state="active",health="up"}')).toBe(2);
  for (const { name } of registered) expect(series.get(`infernet_gateway_node_up{node="${name}"}`)).toBe(1);
  expect(sum(series, /^infernet_gateway_node_in_flight/)).toBe(1);
  const limited = registered[1]?.name;
  expect(series.get(`infernet_gateway_node_budget_limit{node="${limited}",route="info"}`)).toBe(600);
  expect(series.get(`infernet_gateway_node_budget_left{node="${limited}",route="info"}`)).toBeGreaterThan(0);
  await gateway.admin('POST', `/jobs/${id}/cancel`);
  expect(sum(await scrape(), /^infernet_gateway_jobs_ended_total\{outcome="cancelled"\}/)).toBe(1);
});

it('paths with ids make no new series', async () => {
  const { gateway } = fleet;
  await gateway.admin('GET', '/jobs/00000000-0000-7000-8000-000000000001');
  const before = (await scrape()).size;
  for (let n = 2; n < 30; n += 1) {
    await gateway.admin('GET', `/jobs/00000000-0000-7000-8000-0000000000${String(n).padStart(2, '0')}`);
    await gateway.send(`/nothing/${n}`);
    await gateway.send(`/api/jobs?id=${n}`);
  }
  const after = await scrape();
  const template =
    /^infernet_gateway_http_request_duration_seconds_count\{method="GET",route="\/admin\/jobs\/:id",status="404"\}/;
  expect(sum(after, template)).toBe(29);
  expect(sum(after, /_count\{method="GET",route="unmatched",status="404"\}/)).toBe(28);
  // The routes that were asked for the first time: `unmatched` and `/api/jobs`, 15 lines each at most.
  expect(after.size - before).toBeLessThanOrEqual(30);
});

it('nodes of one name have gauges of their own, and none is left when names differ again', async () => {
  const { gateway, registered } = fleet;
  const labels = async (): Promise<(string | undefined)[]> =>
    [...(await scrape()).keys()].flatMap(
      (name) => /^infernet_gateway_node_up\{node="(.*)"\}/.exec(name)?.[1] ?? [],
    );
  const rename = async (index: number, name: string | undefined): Promise<void> => {
    await gateway.admin('PATCH', `/nodes/${registered[index]?.id}`, { name });
  };
  for (const index of [0, 1]) await rename(index, 'twin');
  expect(await labels()).toEqual(registered.map(({ id }) => `twin (${id.slice(-8)})`));
  for (const metric of ['node_in_flight', 'node_slots', 'node_ejections_total']) {
    const found = [...(await scrape()).keys()].filter((name) =>
      name.startsWith(`infernet_gateway_${metric}{`),
    );
    expect(found, metric).toHaveLength(2);
  }
  // What is counted as it happens is counted under the name alone.
  const counted = /^infernet_gateway_node_requests_total\{node="twin",/;
  await waitUntil('they were asked under the new name', async () => sum(await scrape(), counted) > 0);

  await rename(0, registered[0]?.name);
  expect(await labels()).toEqual([registered[0]?.name, 'twin']);
  await rename(1, registered[1]?.name);
  expect(await labels()).toEqual(registered.map(({ name }) => name));
  await waitUntil('no series is left', async () => ![...(await scrape()).keys()].join('\n').includes('twin'));
});

it('a node that is removed, or renamed, leaves no series behind', async () => {
  const { gateway, registered } = fleet;
  const [first] = registered;
  await gateway.admin('PATCH', `/nodes/${first?.id}`, { name: 'renamed' });
  const renamed = await waitUntil('the new name is seen', async () => {
    const names = [...(await scrape()).keys()].join('\n');
    return names.includes('node_requests_total{node="renamed"') ? names : undefined;
  });
  expect(renamed).not.toContain(`node="${first?.name}"`);
  await gateway.admin('DELETE', `/nodes/${first?.id}?force=true`);
  await waitUntil('its series are gone', async () => {
    return ![...(await scrape()).keys()].join('\n').includes('node="renamed"');
  });
});

it('without its database it tells what it knows, and not what it does not', async () => {
  const server = await TestPostgres.start();
  const gateway = await TestGateway.start({ DATABASE_URL: server.url, METRICS_TOKEN });
  try {
    await server.crash();
    const series = await waitUntil('it is seen to be away', async () => {
      const found = await scrape(gateway);
      return found.get('infernet_gateway_ready') === 0 &&
        found.get('infernet_gateway_jobs{state="queued"}') === undefined
        ? found
        : undefined;
    });
    expect(series.get('infernet_gateway_oldest_queued_seconds')).toBeUndefined();
    expect(series.get('infernet_gateway_jobs_accepted_total')).toBe(0);
    await server.revive();
    await waitUntil('it is back', async () => (await scrape(gateway)).get('infernet_gateway_ready') === 1);
  } finally {
    await gateway.stop();
    await server.stop();
  }
});
