import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { startTestGateway, type JobRow, type TestFleet } from '../support/gateway.js';
import { json } from '../support/http.js';

const BODY_LIMIT_BYTES = 16_777_216;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** What one node runs that the other does not: together both steps, but no node the whole chain. */
const NODES = [
  { containers: ['echo', 'delay', 'step-one', 'internal', 'prover', 'always-fails'] },
  { containers: ['echo', 'delay', 'step-two', 'prover'] },
];

let fleet: TestFleet;

beforeAll(async () => void (fleet = await startTestGateway({ nodes: NODES })));
afterAll(() => fleet.stop());

describe('POST /api/jobs', () => {
  it('accepts a job and finishes it', async () => {
    const reply = await fleet.gateway.post('{"containers":["echo"],"data":{"hello":"world"}}');
    expect(reply.status).toBe(200);
    expect(reply.headers['content-type']).toMatch(/^application\/json\b/);
    expect(reply.text).toMatch(/^\{"id":"[^"]+"\}\n$/);
    const { id } = json<{ id: string }>(reply);
    expect(id).toMatch(UUID);
    const [row] = await fleet.gateway.finished([id]);
    expect(row).toEqual({
      id,
      status: 'success',
      result: { container: 'echo', output: { hello: 'world' } },
    });
  });

  it('runs a chain on the node that has all of it', async () => {
    const id = await fleet.gateway.submit(['step-one', 'internal'], { n: 1 });
    const [row] = await fleet.gateway.finished([id]);
    expect(row?.result).toEqual({ container: 'internal', output: { step: 'one', input: { n: 1 } } });
  });

  it('passes on what the container failed with', async () => {
    const id = await fleet.gateway.submit(['always-fails'], {});
    const [row] = await fleet.gateway.finished([id]);
    expect(row).toEqual({
      id,
      status: 'failed',
      result: { container: 'always-fails', error: 'ValueError: this container always fails' },
    });
  });

  it.each([
    ['no containers', '[]', { error: 'No containers specified', params: {} }],
    ['an unknown one', '["no"]', { error: 'Container not supported', params: { container: 'no' } }],
    [
      'the first unknown one is named',
      '["echo","x","y"]',
      { error: 'Container not supported', params: { container: 'x' } },
    ],
    [
      'an internal one first',
      '["internal","echo"]',
      { error: 'First container must be external', params: { first_container: 'internal' } },
    ],
    [
      'a chain that no single node runs',
      '["step-one","step-two"]',
      { error: 'Container not supported', params: { container: 'step-two' } },
    ],
    [
      'the missing one of the longest prefix',
      '["echo","step-one","internal","step-two"]',
      { error: 'Container not supported', params: { container: 'step-two' } },
    ],
  ])('405: %s', async (_name, containers, body) => {
    const before = fleet.submissions().length;
    const reply = await fleet.gateway.post(`{"containers":${containers},"data":{}}`);
    expect(reply.status).toBe(405);
    expect(reply.headers['content-type']).toMatch(/^application\/json\b/);
    expect(json(reply)).toEqual(body);
    expect(fleet.submissions()).toHaveLength(before);
  });

  describe('requires_proof', () => {
    it('is served by a container that proves', async () => {
      const reply = await fleet.gateway.post(
        '{"containers":["prover"],"data":{"a":1},"requires_proof":true}',
      );
      expect(reply.status).toBe(200);
      const [row] = await fleet.gateway.finished([json<{ id: string }>(reply).id]);
      expect(row?.result?.output).toEqual({ output: { a: 1 }, proof: '0x00' });
      expect(fleet.submissions().at(-1)?.toString()).toContain('"requires_proof":true');
    });

    it("is refused in a node's words otherwise, and nothing is left of the job", async () => {
      const before = await fleet.gateway.ids();
      const reply = await fleet.gateway.post('{"containers":["echo"],"data":{},"requires_proof":true}');
      expect(reply.status).toBe(405);
      expect(json(reply)).toEqual({
        error: 'Container does not generate proof',
        params: { container: 'echo' },
      });
      expect(await fleet.gateway.ids()).toEqual(before);
    });

    it('may be null or false', async () => {
      for (const word of ['null', 'false']) {
        const reply = await fleet.gateway.post(`{"containers":["echo"],"data":{},"requires_proof":${word}}`);
        expect(reply.status).toBe(200);
      }
    });
  });

  it.each([
    ['', 'body'],
    ['{', 'body'],
    ['"job"', 'body'],
    ['[]', 'body'],
    ['{"containers":["echo"],"data":{}} x', 'body'],
    ['{"data":{}}', 'containers'],
    ['{"containers":"echo","data":{}}', 'containers'],
    ['{"containers":["echo",1],"data":{}}', 'containers[1]'],
    ['{"containers":["echo"]}', 'data'],
    ['{"containers":["echo"],"data":[]}', 'data'],
    ['{"containers":["echo"],"data":null}', 'data'],
    ['{"containers":["echo"],"data":{},"requires_proof":1}', 'requires_proof'],
  ])('400: %s names %s', async (body, field) => {
    const reply = await fleet.gateway.post(body);
    expect(reply.status).toBe(400);
    expect(reply.headers['content-type']).toMatch(/^application\/json\b/);
    expect(json(reply)).toEqual({ error: expect.any(String), params: { field } });
  });

  it('400: bytes that are not UTF-8', async () => {
    const reply = await fleet.gateway.post(
      Buffer.from('{"containers":["echo"],"data":{"a":"\xff"}}', 'latin1'),
    );
    expect(reply.status).toBe(400);
    expect(json(reply)).toMatchObject({ params: { field: 'body' } });
  });

  it.each([
    'text/plain',
    'application/jsonx',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'x',
  ])('415: content type %s', async (contentType) => {
    const reply = await fleet.gateway.post('{"containers":["echo"],"data":{}}', {
      'content-type': contentType,
    });
    expect(reply.status).toBe(415);
    expect(reply.headers['content-type']).toMatch(/^application\/json\b/);
    expect(json(reply)).toEqual({ error: expect.any(String), params: { field: 'content-type' } });
  });

  it('415: no content type', async () => {
    const reply = await fleet.gateway.send('/api/jobs', {
      method: 'POST',
      body: '{"containers":["echo"],"data":{}}',
    });
    expect(reply.status).toBe(415);
  });

  it.each(['application/foo+json', 'application/json; charset=utf-8', 'Application/JSON'])(
    'accepts content type %s',
    async (contentType) => {
      const reply = await fleet.gateway.post('{"containers":["echo"],"data":{}}', {
        'content-type': contentType,
      });
      expect(reply.status).toBe(200);
    },
  );

  it('answers other paths with JSON', async () => {
    const reply = await fleet.gateway.send('/api/nothing');
    expect(reply.status).toBe(404);
    expect(json(reply)).toMatchObject({ error: expect.any(String) });
  });
});

describe('the body limit', () => {
  const bodyOf = (size: number): Buffer => {
    const head = '{"containers":["echo"],"data":{"a":"';
    return Buffer.from(`${head}${'x'.repeat(size - head.length - 3)}"}}`);
  };

  // With the id in front the body would be too long for a node, so the first of these goes without.
  it.each([BODY_LIMIT_BYTES, BODY_LIMIT_BYTES - 44])('accepts %d bytes and runs them', async (size) => {
    const body = bodyOf(size);
    const reply = await fleet.gateway.post(body);
    expect(reply.status).toBe(200);
    const { id } = json<{ id: string }>(reply);
    const sent = fleet.submissions().at(-1) as Buffer;
    expect(sent.length).toBeLessThanOrEqual(BODY_LIMIT_BYTES);
    expect(sent.subarray(-(size - 1)).equals(body.subarray(1))).toBe(true);
    const [row] = await fleet.gateway.finished([id]);
    expect(row?.status).toBe('success');
    expect((row?.result?.output as { a: string }).a).toHaveLength(size - 39);
  });

  it('refuses one byte more with 413', async () => {
    const reply = await fleet.gateway.post(bodyOf(BODY_LIMIT_BYTES + 1));
    expect(reply.status).toBe(413);
    expect(reply.headers['content-type']).toMatch(/^application\/json\b/);
    expect(json(reply)).toEqual({ error: expect.any(String), params: { field: 'body' } });
  });
});

describe('POST /api/jobs/batch', () => {
  interface Item {
    id?: string;
    error?: string;
    params?: object;
  }
  let items: Item[];

  it('answers each item in its place', async () => {
    const echo = (n: number): string => `{"containers":["echo"],"data":{"n":${n}}}`;
    const body = `[${echo(0)},{"containers":["non-existent-container"],"data":{}},${echo(2)},{"data":{}},7,${echo(5)}]`;
    const reply = await fleet.gateway.postBatch(body, { 'content-type': 'application/json' });
    expect(reply.status).toBe(200);
    expect(reply.headers['content-type']).toMatch(/^application\/json\b/);
    items = json<Item[]>(reply);
    expect(items).toEqual([
      { id: expect.stringMatching(UUID) },
      { error: 'Container not supported', params: { container: 'non-existent-container' } },
      { id: expect.stringMatching(UUID) },
      { error: expect.any(String), params: { field: 'containers', index: 3 } },
      { error: expect.any(String), params: { field: 'body', index: 4 } },
      { id: expect.stringMatching(UUID) },
    ]);
    const rows = await fleet.gateway.finished(items.flatMap(({ id }) => id ?? []));
    expect(rows.map(({ result }) => result?.output)).toEqual([{ n: 0 }, { n: 2 }, { n: 5 }]);
  });

  it('passes a refusal by a node on in its place', async () => {
    const reply = await fleet.gateway.postBatch(
      '[{"containers":["echo"],"data":{},"requires_proof":true},{"containers":["echo"],"data":{}}]',
    );
    expect(json<Item[]>(reply)).toEqual([
      { error: 'Container does not generate proof', params: { container: 'echo' } },
      { id: expect.stringMatching(UUID) },
    ]);
  });

  it('answers an empty list with one', async () => {
    const reply = await fleet.gateway.postBatch('[]');
    expect([reply.status, reply.text]).toEqual([200, '[]\n']);
  });

  it.each(['{}', '"x"', 'null'])('400: %s is not a list', async (body) => {
    const reply = await fleet.gateway.postBatch(body);
    expect(reply.status).toBe(400);
    expect(json(reply)).toMatchObject({ error: 'Expected a list' });
  });

  it.each([undefined, 'text/plain', 'application/x-www-form-urlencoded', 'nonsense', 'multipart/form-data'])(
    'takes content type %s',
    async (contentType) => {
      const reply = await fleet.gateway.postBatch(
        '[{"containers":["echo"],"data":{}}]',
        contentType === undefined ? {} : { 'content-type': contentType },
      );
      expect(reply.status).toBe(200);
      expect(json<Item[]>(reply)).toEqual([{ id: expect.stringMatching(UUID) }]);
    },
  );

  describe('of 1,000 jobs', () => {
    let rows: JobRow[];
    let ids: string[];
    beforeEach(async () => {
      if (ids !== undefined) return;
      const jobs = Array.from({ length: 1_000 }, (_, n) => ({ containers: ['echo'], data: { n } }));
      const startedAt = Date.now();
      const reply = await fleet.gateway.postBatch(JSON.stringify(jobs));
      expect(Date.now() - startedAt).toBeLessThan(30_000);
      ids = json<Item[]>(reply).map(({ id }) => id ?? '');
      rows = await fleet.gateway.finished(ids);
    });

    it('accepts all and finishes each with its own output', () => {
      expect(new Set(ids).size).toBe(1_000);
      expect(rows.map(({ result }) => (result?.output as { n: number }).n)).toEqual(
        Array.from({ length: 1_000 }, (_, n) => n),
      );
    });

    it('spreads them over the nodes and runs each once', () => {
      const runs = fleet.nodes.map(
        (node) => node.executions.filter(({ jobId }) => ids.includes(jobId)).length,
      );
      expect(runs.reduce((a, b) => a + b, 0)).toBe(1_000);
      // How many each gets depends on how fast it turns out to be.
      for (const count of runs) expect(count).toBeGreaterThan(0);
    });
  });
});
