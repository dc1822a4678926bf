import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startTestGateway, TestGateway, type TestFleet } from '../support/gateway.js';
import { send } from '../support/http.js';

const from = (address: string): Record<string, string> => ({ 'x-forwarded-for': address });

describe('behind a trusted proxy', () => {
  let fleet: TestFleet;
  beforeAll(async () => {
    fleet = await startTestGateway({
      settings: { TRUST_PROXY: 'loopback' },
      nodes: [{ slots: 8 }, { slots: 4 }, { slots: 2 }],
    });
  });
  afterAll(() => fleet.stop());

  it('a caller sees its own jobs only', async () => {
    const { gateway } = fleet;
    const id = await gateway.submit(['echo'], { secret: 1 }, from('10.0.0.1'));
    await gateway.finished([id], from('10.0.0.1'));
    expect(await gateway.rows([id], from('10.0.0.2'))).toEqual([]);
    expect(await gateway.rows([id])).toEqual([]);
    expect(await gateway.ids('', from('10.0.0.2'))).toEqual([]);
    expect(await gateway.ids('?pending=false', from('10.0.0.1'))).toEqual([id]);
  });

  it('a caller that adds to the header does not become another one', async () => {
    const id = await fleet.gateway.submit(['echo'], {}, from('10.0.0.3'));
    expect(await fleet.gateway.rows([id], from('10.0.0.3, 10.0.0.4'))).toEqual([]);
    expect(await fleet.gateway.rows([id], from('10.0.0.4, 10.0.0.3'))).toHaveLength(1);
  });

  it('an IPv4 address may be written as IPv6', async () => {
    const id = await fleet.gateway.submit(['echo'], {}, from('10.0.0.5'));
    expect(await fleet.gateway.rows([id], from('::ffff:10.0.0.5'))).toHaveLength(1);
  });

  it('1,000 jobs from 20 concurrent callers over 3 nodes: all right, and each sees exactly its own', async () => {
    const { gateway } = fleet;
    const callers = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const me = from(`10.1.0.${index}`);
        const outputs = new Map<string, string>();
        const one = async (n: number): Promise<void> => {
          const data = { caller: index, n };
          outputs.set(await gateway.submit(['echo'], data, me), JSON.stringify(data));
        };
        // Five at a time, as a busy application does.
        for (let n = 0; n < 50; n += 5) await Promise.all([0, 1, 2, 3, 4].map((k) => one(n + k)));
        return { me, outputs };
      }),
    );
    for (const { me, outputs } of callers) {
      const ids = [...outputs.keys()];
      const rows = await gateway.finished(ids, me, 30_000);
      expect(rows.map(({ status }) => status)).toEqual(ids.map(() => 'success'));
      expect(rows.map(({ result }) => JSON.stringify(result?.output))).toEqual([...outputs.values()]);
      expect((await gateway.ids('', me)).sort()).toEqual([...ids].sort());
    }
    const everyId = callers.flatMap(({ outputs }) => [...outputs.keys()]);
    expect(new Set(everyId).size).toBe(1_000);
    for (const [index, { outputs }] of callers.entries()) {
      const neighbour = callers[(index + 1) % callers.length]?.me;
      expect(await gateway.rows([...outputs.keys()], neighbour)).toEqual([]);
    }
    const runs = fleet.nodes.map(
      (node) => node.executions.filter(({ jobId }) => everyId.includes(jobId)).length,
    );
    expect(runs.reduce((a, b) => a + b, 0)).toBe(1_000);
    for (const count of runs) expect(count).toBeGreaterThan(0);
  });
});

describe('without a trusted proxy', () => {
  let gateway: TestGateway;
  let fleet: TestFleet;
  beforeAll(async () => {
    fleet = await startTestGateway({ settings: { HOST: '::' } });
    ({ gateway } = fleet);
  });
  afterAll(() => fleet.stop());

  it('X-Forwarded-For changes nothing', async () => {
    const id = await gateway.submit(['echo'], {}, from('10.0.0.1'));
    expect(await gateway.rows([id], from('10.0.0.2'))).toHaveLength(1);
    expect(await gateway.rows([id])).toHaveLength(1);
  });

  it('127.0.0.1 and ::1 are one caller', async () => {
    const id = await gateway.submit(['echo'], {});
    const { port } = new URL(gateway.url);
    for (const host of ['127.0.0.1', '127.0.0.2', '[::1]']) {
      const reply = await send(`http://${host}:${port}/api/jobs?id=${id}`);
      expect(reply.text).toContain(id);
    }
  });
});
