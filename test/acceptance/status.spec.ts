import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { json, mediaType, type RawReply } from '../support/http.js';

type Headers = Record<string, string>;

const from = (address: string): Headers => ({ 'x-forwarded-for': address });
const LOCAL = from('192.168.1.7');
const REMOTE = from('203.0.113.9');

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await startTestGateway({ settings: { TRUST_PROXY: 'loopback' } });
});
afterAll(() => fleet.stop());

const put = (body: object | string, headers: Headers = LOCAL): Promise<RawReply> =>
  fleet.gateway.send('/api/status', {
    method: 'PUT',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
const record = (id: string, status: string, headers: Headers = LOCAL): Promise<RawReply> =>
  put({ id, status, containers: ['echo'], data: {} }, headers);

describe('a status that a caller records', () => {
  it('is answered null, and seen in results and ids as at a node', async () => {
    const reply = await record('mine-1', 'running');
    expect([reply.status, mediaType(reply), reply.text]).toEqual([200, 'application/json', 'null\n']);
    expect((await fleet.gateway.getResults(['mine-1'], LOCAL)).text).toBe(
      '[{"id":"mine-1","result":null,"status":"running"}]\n',
    );
    expect(await fleet.gateway.ids('?pending=true', LOCAL)).toContain('mine-1');
    expect(await fleet.gateway.ids('?pending=false', LOCAL)).not.toContain('mine-1');
    for (const status of ['success', 'failed']) {
      expect((await record('mine-1', status)).status).toBe(200);
      expect(await fleet.gateway.rows(['mine-1'], LOCAL)).toEqual([{ id: 'mine-1', result: null, status }]);
    }
    expect(await fleet.gateway.ids('?pending=true', LOCAL)).not.toContain('mine-1');
    expect(await fleet.gateway.ids('?pending=false', LOCAL)).toContain('mine-1');
    expect(await fleet.gateway.ids('', LOCAL)).toContain('mine-1');
    const full = await fleet.gateway.getResults(['mine-1'], LOCAL, '&intermediate=true');
    expect(full.text).toBe('[{"id":"mine-1","intermediate_results":[],"result":null,"status":"failed"}]\n');
  });

  it('stands among the rows of jobs in the order of a node', async () => {
    const job = await fleet.gateway.submit(['echo'], {}, LOCAL);
    await fleet.gateway.finished([job], LOCAL);
    await record('still', 'running');
    await record('over', 'success');
    const rows = await fleet.gateway.rows(['still', 'over', 'unknown', job, 'over'], LOCAL);
    expect(rows.map(({ id }) => id)).toEqual(['over', job, 'over', 'still']);
  });

  it('belongs to that caller, under any id', async () => {
    const odd = 'a/b "quoted" \\ 🍕\n';
    await record(odd, 'success');
    await record(odd, 'failed', from('192.168.1.8'));
    expect(await fleet.gateway.rows([odd], LOCAL)).toMatchObject([{ id: odd, status: 'success' }]);
    expect(await fleet.gateway.rows([odd], from('192.168.1.8'))).toMatchObject([{ status: 'failed' }]);
    expect(await fleet.gateway.rows([odd], REMOTE)).toEqual([]);
    expect(await fleet.gateway.ids('', REMOTE)).not.toContain(odd);
  });

  it('does not keep a caller waiting', async () => {
    await record('waits', 'running');
    const reply = await fleet.gateway.getResults(['waits'], { ...LOCAL, prefer: 'wait=4' });
    expect(json(reply)).toEqual([{ id: 'waits', result: null, status: 'running' }]);
  });
});

it('the status of a job of the gateway is not for others to record', async () => {
  const id = await fleet.gateway.submit(['echo'], { n: 1 }, LOCAL);
  const before = await fleet.gateway.finished([id], LOCAL);
  for (const headers of [LOCAL, from('192.168.1.8')]) {
    const reply = await record(id, 'running', headers);
    expect([reply.status, json(reply)]).toEqual([
      409,
      { error: 'The gateway keeps the status of this job itself', params: { id } },
    ]);
  }
  expect(await fleet.gateway.rows([id], LOCAL)).toEqual(before);
  expect(await fleet.gateway.rows([id], from('192.168.1.8'))).toEqual([]);
});

describe('who may', () => {
  it.each([
    '127.0.0.1',
    '::1',
    '172.17.0.2',
    '172.18.255.1',
    '172.19.0.1',
    '192.168.0.1',
    '::ffff:192.168.3.4',
  ])('%s', async (address) => {
    expect((await record('near', 'running', from(address))).text).toBe('null\n');
  });

  it.each(['10.0.0.1', '172.16.0.1', '172.20.0.1', '203.0.113.9', '2001:db8::1', '::ffff:10.0.0.1'])(
    'not %s',
    async (address) => {
      const reply = await record('far', 'running', from(address));
      expect([reply.status, json<{ error: string }>(reply).error]).toEqual([403, 'Unauthorized']);
      expect(await fleet.gateway.rows(['far'], from(address))).toEqual([]);
    },
  );

  it('an operator from anywhere, with the admin token only', async () => {
    const operator = { ...REMOTE, authorization: `Bearer ${fleet.gateway.adminToken}` };
    expect((await record('by-operator', 'success', operator)).text).toBe('null\n');
    expect(await fleet.gateway.rows(['by-operator'], REMOTE)).toHaveLength(1);
    const wrong = { ...REMOTE, authorization: 'Bearer something-else-of-some-length' };
    expect((await record('by-stranger', 'success', wrong)).status).toBe(403);
  });
});

it.each([
  [{ id: 'x', status: 'done', containers: [] }, 'Status is invalid', 'status'],
  [{ id: 'x', containers: [] }, 'status: missing', 'status'],
  [{ status: 'success', containers: [] }, 'id: missing', 'id'],
  [
    { id: 'x'.repeat(256), status: 'success', containers: [] },
    'id: 1 to 255 characters expected, without NUL',
    'id',
  ],
  [{ id: 'x', status: 'success' }, 'containers: missing', 'containers'],
  ['not json', 'The body is not valid JSON: a JSON value expected at byte 0', 'body'],
])('%j is refused naming the field', async (body, error, field) => {
  const reply = await put(body);
  expect([reply.status, mediaType(reply), json(reply)]).toEqual([
    400,
    'application/json',
    { error, params: { field } },
  ]);
});
