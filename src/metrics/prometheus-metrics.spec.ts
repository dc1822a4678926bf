import { expect, it } from 'vitest';
import { METRICS } from './definitions.js';
import { arrivedAt } from './metrics.js';
import { PrometheusMetrics } from './prometheus-metrics.js';

const linesOf = async (metrics: PrometheusMetrics, part: string): Promise<string[]> =>
  (await metrics.text()).split('\n').filter((line) => !line.startsWith('#') && line.includes(part));

it('counts what it is told, in base units', async () => {
  const metrics = new PrometheusMetrics();
  metrics.jobAccepted();
  metrics.jobEnded('succeeded', 1_500);
  metrics.jobPlaced(-5);
  metrics.nodeReplied('a', 'create_job', 'ok', 20);
  const text = await metrics.text();
  expect(text).toContain('infernet_gateway_jobs_accepted_total 1\n');
  expect(text).toContain('infernet_gateway_jobs_ended_total{outcome="succeeded"} 1\n');
  expect(text).toContain('infernet_gateway_job_duration_seconds_sum{outcome="succeeded"} 1.5\n');
  // Clocks that run apart make no negative times.
  expect(text).toContain('infernet_gateway_queue_wait_seconds_sum 0\n');
  expect(text).toContain(
    'infernet_gateway_node_request_duration_seconds_bucket{le="0.05",node="a",route="create_job"} 1\n',
  );
  expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds \S+$/m);
  expect(text).toMatch(/^process_resident_memory_bytes \d+$/m);
});

it('forgets every series of a node that is gone, and nothing else', async () => {
  const metrics = new PrometheusMetrics();
  for (const node of ['gone', 'stays']) {
    metrics.attemptEnded(node, 'lost');
    metrics.nodeReplied(node, 'info', 'no_answer', 1);
    metrics.nodeReplied(node, 'get_job', 'limited', 1);
    metrics.endSeen(node, 1, 1);
  }
  metrics.nodeGone('gone');
  expect(await linesOf(metrics, '"gone"')).toEqual([]);
  for (const name of [
    'attempts_total',
    'node_requests_total',
    'node_service_seconds',
    'node_request_duration',
  ]) {
    expect(await linesOf(metrics, name), name).not.toEqual([]);
  }
});

it('asks its sources at each scrape, and leaves out what they do not know', async () => {
  const metrics = new PrometheusMetrics();
  let readings = [{ labels: { state: 'queued' }, value: 3 }];
  metrics.addSource(() => metrics.replace('jobs', readings));
  metrics.addSource(() => metrics.replace('oldestQueued', []));
  metrics.addSource(() => Promise.reject(new Error('away')));
  expect(await linesOf(metrics, 'infernet_gateway_jobs{')).toEqual([
    'infernet_gateway_jobs{state="queued"} 3',
  ]);
  readings = [{ labels: { state: 'running' }, value: 1 }];
  expect(await linesOf(metrics, 'infernet_gateway_jobs{')).toEqual([
    'infernet_gateway_jobs{state="running"} 1',
  ]);
  readings = [];
  expect(await linesOf(metrics, 'infernet_gateway_jobs{')).toEqual([]);
  expect(await linesOf(metrics, 'oldest_queued')).toEqual([]);
});

it('replaces counters that are read, so that they do not add up twice', async () => {
  const metrics = new PrometheusMetrics();
  metrics.addSource(() => metrics.replace('nodeEjections', [{ labels: { node: 'a' }, value: 2 }]));
  await metrics.text();
  expect(await linesOf(metrics, 'node_ejections_total')).toEqual([
    'infernet_gateway_node_ejections_total{node="a"} 2',
  ]);
});

it('two gateways in one process do not count for each other', async () => {
  const [one, other] = [new PrometheusMetrics(), new PrometheusMetrics()];
  one.jobAccepted();
  expect(await linesOf(other, 'jobs_accepted_total')).toEqual(['infernet_gateway_jobs_accepted_total 0']);
});

it('names follow the conventions: base units, and _total for counters alone', () => {
  for (const { name, type } of Object.values(METRICS)) {
    expect(name).toMatch(/^infernet_gateway_[a-z_]+$/);
    expect(name.endsWith('_total'), name).toBe(type === 'counter');
    if (type === 'histogram') expect(name).toMatch(/_(?:seconds|size)$/);
  }
});

it('reads the time of arrival from the id of a job', () => {
  expect(arrivedAt('01890a5d-ac96-774b-bcce-b302099a8057')).toBe(0x01890a5dac96);
});
