import { afterEach, describe, expect, it } from 'vitest';

import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { json } from '../support/http.js';

let fleet: TestFleet;
afterEach(() => fleet.stop());

interface ExplainedNode {
  readonly node: { readonly id: string; readonly name: string; readonly url: string };
  readonly eligible: boolean;
  readonly reason: string | null;
  readonly slots: number;
  readonly serviceMs: number;
  readonly [member: string]: unknown;
}

async function explain(query: string): Promise<{ choice: { name: string } | null; nodes: ExplainedNode[] }> {
  const reply = await fleet.gateway.admin('GET', `/explain?${query}`);
  expect(reply.status).toBe(200);
  return json(reply);
}

async function burst(count: number): Promise<string[]> {
  const jobs = Array.from({ length: count }, (_, n) => ({ containers: ['echo'], data: { n } }));
  const reply = await fleet.gateway.send('/api/jobs/batch', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(jobs),
  });
  return json<{ id: string }[]>(reply).map(({ id }) => id);
}

describe('GET /admin/explain', () => {
  it('tells of each node whether it may have a job, or why not, and what is expected of it', async () => {
    const containers = ['echo'];
    fleet = await startTestGateway({
      nodes: [
        { name: 'open', containers },
        { name: 'drained', containers },
        { name: 'capped', containers: ['echo', 'delay'] },
        { name: 'other', containers: ['step-one'] },
      ],
    });
    const { gateway, registered } = fleet;
    const [, drained, capped] = registered;
    await gateway.admin('POST', `/nodes/${drained?.id}/drain`);
    await gateway.admin('PATCH', `/nodes/${capped?.id}`, { maxInFlight: 1 });
    await gateway.submit(['delay'], { ms: 3_600_000 });
    await gateway.finished([await gateway.submit(['echo'], {})]);
    const { choice, nodes } = await explain('container=echo');
    expect(nodes.map(({ reason }) => String(reason)).sort()).toEqual([
      'it does not run these containers',
      "it is at the operator's maxInFlight",
      'it is draining',
      'null',
    ]);
    const [open] = nodes;
    expect(choice?.name).toBe(open?.node.name);
    expect(open).toMatchObject({
      node: { id: registered[0]?.id, url: registered[0]?.url },
      eligible: true,
      expectedMs: expect.any(Number),
      serviceMs: expect.any(Number),
      slots: expect.any(Number),
      starting: expect.any(Boolean),
      window: expect.any(Number),
      outstanding: 0,
      foreign: 0,
      budgetInMs: 0,
      budget: {},
    });
  });

  it('shows the rate budget of each route that was used', async () => {
    fleet = await startTestGateway({ nodes: [{ rateLimit: { limit: 60, periodMs: 60_000 } }] });
    await fleet.gateway.finished([await fleet.gateway.submit(['echo'], {})]);
    const { nodes } = await explain('container=echo');
    const { budget } = nodes[0] as unknown as {
      budget: Record<string, { limit: number; left: number; waitMs: number }>;
    };
    expect(Object.keys(budget)).toEqual(expect.arrayContaining(['info', 'create_job', 'get_job']));
    expect(budget['create_job']).toEqual({ limit: 60, left: 59, waitMs: expect.any(Number) });
  });

  it('refuses a question without a container, naming it', async () => {
    fleet = await startTestGateway({ nodes: [{}] });
    const reply = await fleet.gateway.admin('GET', '/explain');
    expect(reply.status).toBe(400);
    expect(reply.text).toContain('container');
  });
});

describe('the timeline of a job that has ended', () => {
  it('tells why its node was chosen', async () => {
    fleet = await startTestGateway({ nodes: [{ name: 'only' }] });
    const id = await fleet.gateway.submit(['echo'], {});
    await fleet.gateway.finished([id]);
    const view = json<{ attempts: { decision: object }[]; timeline: { text: string }[] }>(
      await fleet.gateway.admin('GET', `/jobs/${id}`),
    );
    expect(view.attempts[0]?.decision).toMatchObject({ why: 'best', ahead: 0, slots: 1, waiting: 1 });
    expect(view.timeline.map(({ text }) => text).join('\n')).toMatch(
      /sent to \S+; it was expected to finish first: \d+ ms expected, \d+ ms of service, 0 ahead of it on 1 slot/,
    );
  });
});

describe('a restart', () => {
  it('keeps what was learned of the nodes', { timeout: 60_000 }, async () => {
    fleet = await startTestGateway({ nodes: [{ slots: 4, serviceMs: { meanMs: 40 } }] });
    const { gateway } = fleet;
    await gateway.finished(await burst(200), {}, 50_000);
    const before = (await explain('container=echo')).nodes[0];
    expect(before?.slots).toBeGreaterThan(1);
    await gateway.pause();
    await gateway.resume();
    const after = (await explain('container=echo')).nodes[0];
    expect(after?.slots).toBe(before?.slots);
    expect(after?.serviceMs).not.toBe(1_000);
    expect(Math.abs((after?.serviceMs ?? 0) / (before?.serviceMs ?? 1) - 1)).toBeLessThan(0.2);
  });
});

describe('a stray 429', () => {
  it('rests the route that it came from, and jobs go on by the other', async () => {
    fleet = await startTestGateway({ nodes: [{}] });
    const [node] = fleet.nodes;
    const { gateway } = fleet;
    await gateway.finished([await gateway.submit(['echo'], { n: 0 })]);
    node?.respondWith('POST /api/jobs', '<html>', { status: 429, contentType: 'text/html' });
    const ids = [await gateway.submit(['echo'], { n: 1 }), await gateway.submit(['echo'], { n: 2 })];
    expect(await gateway.finished(ids)).toMatchObject([{ status: 'success' }, { status: 'success' }]);
    const posts = node?.received.filter(({ method }) => method === 'POST').map(({ path }) => path);
    expect(posts?.filter((path) => path === '/api/jobs')).toHaveLength(2);
    expect(posts).toContain('/api/jobs/batch');
  });
});
