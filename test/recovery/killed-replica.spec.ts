import { afterEach, expect, it } from 'vitest';

import { GatewayProcess } from '../support/gateway-process.js';
import { json, send } from '../support/http.js';
import { executionsOf, jobView, QUICK, whenJob } from '../support/recovery.js';
import { TestReplicas } from '../support/replicas.js';
import { waitUntil } from '../support/wait.js';

/*
 * One replica in this process, which survives and is asked; one in a process of its own, which is killed or made to
 * stand still.
 */

const ADMIN_TOKEN = 'an-admin-token-of-the-tests';

let replicas: TestReplicas;
let victim: GatewayProcess;

afterEach(async () => {
  await victim.kill();
  await replicas.stop();
});

async function start(settings: Record<string, string> = {}): Promise<void> {
  const all = { ...QUICK, ...settings };
  replicas = await TestReplicas.start({ gateways: 1, nodes: [{}, {}], settings: all });
  victim = await GatewayProcess.start({ ...all, ADMIN_TOKEN, DATABASE_URL: replicas.databaseUrl });
  await replicas.balanced(2);
  await waitUntil('the other process knows its nodes', async () => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const { nodes } = json<{ nodes: { health: string }[] }>(
      await send(`${victim.url}/admin/nodes`, { headers }),
    );
    return nodes.every(({ health }) => health === 'up');
  });
}

async function submitTo(url: string, body: object): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  const reply = await send(`${url}/api/jobs`, { method: 'POST', headers, body: JSON.stringify(body) });
  expect(reply.status).toBe(200);
  return json<{ id: string }>(reply).id;
}

/** Hands jobs in until told to stop. @returns the ids that were answered */
function load(url: string): { ids: string[]; stop: () => Promise<void> } {
  const ids: string[] = [];
  let isOver = false;
  const callers = Array.from({ length: 6 }, async () => {
    while (!isOver) {
      await submitTo(url, { containers: ['delay'], data: { ms: 20 } }).then(
        (id) => ids.push(id),
        () => (isOver = true),
      );
    }
  });
  return {
    ids,
    stop: async () => {
      isOver = true;
      await Promise.all(callers);
    },
  };
}

it('gateway died: killed under load, it loses nothing that it had answered for', async () => {
  await start();
  const { ids, stop } = load(victim.url);
  await waitUntil('jobs flow', () => ids.length > 100);
  await victim.kill();
  await stop();
  for (const { status } of await replicas.gateway(0).finished(ids, {}, 30_000))
    expect(status).toBe('success');
  const views = await Promise.all(ids.map((id) => jobView(replicas.gateway(0), id)));
  // Every job was found where it was, or had not been sent: none ran twice.
  for (const view of views)
    expect(executionsOf(view, replicas.nodes), JSON.stringify(view.attempts)).toHaveLength(1);
});

it('gateway died while it was sending: the next holder asks the node before it runs anything again', async () => {
  await start({ ANSWER_WITHIN_MS: '2000', SUBMIT_TIMEOUT_MS: '60000' });
  for (const { faults } of replicas.nodes) await faults.set({ loseAnswer: true });
  const there = await submitTo(victim.url, { containers: ['echo'], data: { n: 1 } });
  for (const { faults } of replicas.nodes) await faults.set({ loseAnswer: false, hang: { method: 'POST' } });
  const notThere = await submitTo(victim.url, { containers: ['echo'], data: { n: 2 } });
  const gateway = replicas.gateway(0);
  await whenJob(gateway, notThere, 'an attempt', ({ attempts }) => attempts.length > 0);
  expect((await jobView(gateway, there)).state).toBe('sending');
  await victim.kill();
  for (const { faults } of replicas.nodes) await faults.clear();
  const rows = await gateway.finished([there, notThere]);
  expect(rows.map(({ result }) => result?.output)).toEqual([{ n: 1 }, { n: 2 }]);
  for (const id of [there, notThere]) {
    expect(executionsOf(await jobView(gateway, id), replicas.nodes)).toHaveLength(1);
  }
});

it('stood still past its lease: it sends nothing more under it, and no result changes', async () => {
  await start();
  const { ids, stop } = load(victim.url);
  await waitUntil('jobs flow', () => ids.length > 50);
  victim.freeze();
  const gateway = replicas.gateway(0);
  await waitUntil('its leases were taken over', async () => (await replicas.leaseCounts()).length === 1);
  const own = await Promise.all(Array.from({ length: 10 }, (_, n) => gateway.submit(['echo'], { n })));
  const acknowledged = [...ids];
  const before = await gateway.finished([...acknowledged, ...own]);
  const raw = await gateway.getResults(acknowledged.slice(0, 100));
  victim.wake();
  await replicas.balanced(2);
  await stop();
  expect((await gateway.getResults(acknowledged.slice(0, 100))).text).toBe(raw.text);
  expect(await gateway.finished([...acknowledged, ...own])).toEqual(before);
  for (const { status } of await gateway.finished(ids)) expect(status).toBe('success');
});
