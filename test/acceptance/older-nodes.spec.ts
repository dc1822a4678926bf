import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { json } from '../support/http.js';

const CONTAINERS = ['echo', 'step-one', 'step-two', 'prover', 'always-fails'];

describe('a node of 0.2.0 alone', () => {
  let fleet: TestFleet;
  beforeAll(async () => {
    fleet = await startTestGateway({
      nodes: [{ apiVersion: '0.2.0', containers: CONTAINERS, chainAddress: '0xabc' }],
    });
  });
  afterAll(() => fleet.stop());

  it('is registered with what it tells in several places', async () => {
    const [row] = await fleet.gateway.nodes();
    expect(row).toMatchObject({
      health: 'up',
      version: '0.2.0',
      chain: { enabled: true, address: '0xabc' },
      features: ['old-delegation'],
      lastError: null,
    });
    const info = json<{ chain: object; version: string }>(await fleet.gateway.send('/info'));
    expect(info).toMatchObject({ chain: { enabled: true, address: '0xabc' }, version: '1.4.0' });
  });

  it('runs jobs, chains and batches; no rate limit is known of it, and none is kept to', async () => {
    const { gateway } = fleet;
    const data = '{"big":115792089237316195423570985008687907853269984665640564039457584007913129639935}';
    const reply = await gateway.post(`{"containers":["echo"],"data":${data}}`);
    const { id } = json<{ id: string }>(reply);
    await gateway.finished([id]);
    expect((await gateway.getResults([id])).text).toContain(`"output":${data}`);

    const batch = await gateway.postBatch(
      JSON.stringify(
        Array.from({ length: 100 }, (_, n) => ({ containers: ['step-one', 'step-two'], data: { n } })),
      ),
    );
    const ids = json<{ id: string }[]>(batch).map((item) => item.id);
    const rows = await gateway.finished(ids);
    expect(rows.every(({ status }) => status === 'success')).toBe(true);
    const [failed] = await gateway.finished([await gateway.submit(['always-fails'], {})]);
    expect(failed?.status).toBe('failed');
    expect((await gateway.nodes())[0]).toMatchObject({ budget: {} });
  });

  it('knows no proofs: such a job is refused as a node refuses it', async () => {
    const reply = await fleet.gateway.post('{"containers":["prover"],"data":{},"requires_proof":true}');
    expect([reply.status, json(reply)]).toEqual([
      405,
      { error: 'Container does not generate proof', params: { container: 'prover' } },
    ]);
    const without = await fleet.gateway.submit(['prover'], { n: 1 });
    expect((await fleet.gateway.finished([without]))[0]?.status).toBe('success');
  });
});

it('0.2.0 without a chain', async () => {
  const fleet = await startTestGateway({ nodes: [{ apiVersion: '0.2.0' }] });
  try {
    expect((await fleet.gateway.nodes())[0]).toMatchObject({
      health: 'up',
      chain: { enabled: false },
      features: [],
    });
  } finally {
    await fleet.stop();
  }
});

describe('nodes of all versions together', () => {
  const VERSIONS = ['0.2.0', '1.0.0', '1.1.0', '1.2.0', '1.3.0', '1.4.0'] as const;
  let fleet: TestFleet;
  beforeAll(async () => {
    fleet = await startTestGateway({
      nodes: VERSIONS.map((apiVersion) => ({ apiVersion, containers: CONTAINERS })),
    });
  });
  afterAll(() => fleet.stop());

  it('all are up, with what each can do', async () => {
    const rows = await fleet.gateway.nodes();
    expect(rows.map(({ version, features }) => [version, features])).toEqual([
      ['0.2.0', []],
      ['1.0.0', ['proof', 'stream']],
      ['1.1.0', ['proof', 'stream']],
      ['1.2.0', ['proof', 'stream']],
      ['1.3.0', ['proof', 'stream']],
      ['1.4.0', ['proof', 'resources', 'stream']],
    ]);
  });

  it('each takes its share of ordinary jobs', async () => {
    const ids = await Promise.all(
      Array.from({ length: 120 }, (_, n) => fleet.gateway.submit(['echo'], { n })),
    );
    const rows = await fleet.gateway.finished(ids);
    expect(rows.every(({ status }) => status === 'success')).toBe(true);
    for (const node of fleet.nodes) expect(node.executions.length).toBeGreaterThan(0);
  });

  it('a job that needs a proof goes to those that heed it, held or not', async () => {
    const body = '{"containers":["prover"],"data":{},"requires_proof":true}';
    const before = fleet.nodes.map((node) => node.executions.length);
    const newer = fleet.registered.slice(1);
    for (const { id } of newer) await fleet.gateway.admin('POST', `/nodes/${id}/drain`);
    const held = await Promise.all(Array.from({ length: 10 }, () => fleet.gateway.post(body)));
    // A job without needs overtakes those that no node can take now.
    const plain = await fleet.gateway.submit(['echo'], {});
    await fleet.gateway.finished([plain]);
    for (const { id } of newer) await fleet.gateway.admin('POST', `/nodes/${id}/resume`);
    const sent = await Promise.all(Array.from({ length: 50 }, () => fleet.gateway.post(body)));
    const ids = [...held, ...sent].map((reply) => json<{ id: string }>(reply).id);
    const rows = await fleet.gateway.finished(ids);
    expect(rows.every(({ status }) => status === 'success')).toBe(true);
    // The plain job is all that came to 0.2.0 in the meantime.
    const came = fleet.nodes.map((node, index) => node.executions.length - (before[index] ?? 0));
    expect(came[0]).toBe(1);
    expect(came.reduce((a, b) => a + b, 0)).toBe(61);
  });
});
