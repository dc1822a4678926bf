import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startTestGateway, type TestFleet } from '../support/gateway.js';
import { json } from '../support/http.js';

let fleet: TestFleet;

beforeAll(async () => {
  // Jobs that never end are to be on nodes beside those that do.
  const settings = { MAX_WAIT_SECONDS: '2', DISPATCH_POLICY: 'least-pending' };
  fleet = await startTestGateway({ settings });
});
afterAll(() => fleet.stop());

/** Jobs that do not end while a test looks. */
const running = (): Promise<string> => fleet.gateway.submit(['delay'], { seconds: 600 });
async function done(data: object = {}): Promise<string> {
  const id = await fleet.gateway.submit(['echo'], data);
  await fleet.gateway.finished([id]);
  return id;
}

describe('GET /api/jobs?id=', () => {
  it('lists finished jobs in the order asked for, then running ones, byte by byte as a node', async () => {
    const [r1, d1, r2, d2] = [await running(), await done({ a: 1 }), await running(), await done({ b: 2 })];
    const reply = await fleet.gateway.getResults([r2, d2, r1, d1]);
    expect(reply.status).toBe(200);
    expect(reply.headers['content-type']).toMatch(/^application\/json\b/);
    expect(reply.text).toBe(
      `[{"id":"${d2}","result":{"container":"echo","output":{"b":2}},"status":"success"},` +
        `{"id":"${d1}","result":{"container":"echo","output":{"a":1}},"status":"success"},` +
        `{"id":"${r2}","result":null,"status":"running"},{"id":"${r1}","result":null,"status":"running"}]\n`,
    );
  });

  it('repeats duplicates', async () => {
    const [d, r] = [await done(), await running()];
    const rows = await fleet.gateway.rows([d, r, d, r, r]);
    expect(rows.map(({ id }) => id)).toEqual([d, d, r, r, r]);
  });

  it('leaves out unknown and odd-looking ids', async () => {
    const d = await done();
    const odd = [
      '01890000-0000-7000-8000-000000000000',
      d.toUpperCase(),
      `{${d}}`,
      d.replaceAll('-', ''),
      ` ${d}`,
      `${d} `,
      '',
      "'; DROP TABLE jobs; --",
      `${d}' OR '1'='1`,
      'x'.repeat(10_000),
      'null',
      '\u0000',
      'ü😀',
    ];
    expect((await fleet.gateway.rows([...odd, d])).map(({ id }) => id)).toEqual([d]);
    for (const id of odd) expect((await fleet.gateway.getResults([id])).text).toBe('[]\n');
  });

  it('takes an empty id for an id, not for none', async () => {
    await done();
    expect((await fleet.gateway.send('/api/jobs?id=')).text).toBe('[]\n');
    expect((await fleet.gateway.send('/api/jobs?id')).text).toBe('[]\n');
  });

  it('shows a job as soon as it is accepted', async () => {
    for (let n = 0; n < 50; n += 1) {
      const id = await fleet.gateway.submit(['echo'], { n });
      expect(await fleet.gateway.rows([id])).toHaveLength(1);
    }
  });

  describe('intermediate', () => {
    it('=true adds what each step of a chain gave', async () => {
      const id = await fleet.gateway.submit(['step-one', 'step-two'], { x: 1.5 });
      await fleet.gateway.finished([id]);
      const reply = await fleet.gateway.getResults([id], {}, '&intermediate=true');
      expect(reply.text).toBe(
        `[{"id":"${id}","intermediate_results":[{"container":"step-one","output":{"step":"one","input":{"x":1.5}}}],` +
          '"result":{"container":"step-two","output":{"step":"two","input":{"step":"one","input":{"x":1.5}}}},' +
          '"status":"success"}]\n',
      );
    });

    it('=true adds an empty list where there are none', async () => {
      const ids = [await done(), await running()];
      const rows = json<{ intermediate_results: unknown }[]>(
        await fleet.gateway.getResults(ids, {}, '&intermediate=true'),
      );
      expect(rows.map((row) => row.intermediate_results)).toEqual([[], []]);
    });

    it.each(['', '&intermediate=True', '&intermediate=1', '&intermediate=', '&intermediate=false'])(
      'is not meant by "%s"',
      async (query) => {
        const reply = await fleet.gateway.getResults([await done()], {}, query);
        expect(reply.text).not.toContain('intermediate_results');
      },
    );
  });
});

describe('GET /api/jobs without ids', () => {
  it('lists the ids of all, of running or of finished jobs', async () => {
    const [d, r] = [await done(), await running()];
    const [all, pending, ended] = await Promise.all([
      fleet.gateway.ids(),
      fleet.gateway.ids('?pending=true'),
      fleet.gateway.ids('?pending=false'),
    ]);
    expect(all).toEqual(expect.arrayContaining([d, r]));
    expect(pending).toContain(r);
    expect(pending).not.toContain(d);
    expect(ended).toContain(d);
    expect(ended).not.toContain(r);
    expect([...pending, ...ended].sort()).toEqual([...all].sort());
    for (const other of ['?pending=True', '?pending=', '?pending=1', '?x=y']) {
      expect(await fleet.gateway.ids(other)).toEqual(all);
    }
  });

  it('ends with a new line and is JSON', async () => {
    const reply = await fleet.gateway.send('/api/jobs?pending=false');
    expect(reply.status).toBe(200);
    expect(reply.headers['content-type']).toMatch(/^application\/json\b/);
    expect(reply.text).toMatch(/^\[.*\]\n$/s);
  });
});

describe('Prefer: wait', () => {
  const timed = async (ids: string[], prefer: string | undefined) => {
    const startedAt = performance.now();
    const reply = await fleet.gateway.getResults(ids, prefer === undefined ? {} : { prefer });
    return { reply, ms: performance.now() - startedAt };
  };

  it('answers when a running job ends', async () => {
    const id = await fleet.gateway.submit(['delay'], { ms: 100 });
    const { reply, ms } = await timed([await running(), id], 'wait=2');
    expect(json<{ status: string }[]>(reply).map(({ status }) => status)).toEqual(['success', 'running']);
    expect(ms).toBeLessThan(1_950);
    expect(reply.headers['preference-applied']).toBe('wait=2');
  });

  it('answers at once when nothing runs', async () => {
    for (const ids of [[await done()], ['01890000-0000-7000-8000-000000000000'], ['x']]) {
      expect((await timed(ids, 'wait=2')).ms).toBeLessThan(1_950);
    }
  });

  it('answers after the time otherwise, and waits no longer than the setting allows', async () => {
    const id = await running();
    const [one, capped] = await Promise.all([timed([id], 'wait=1'), timed([id], 'wait=60')]);
    expect(one.ms).toBeGreaterThan(950);
    expect(one.reply.headers['preference-applied']).toBe('wait=1');
    expect(capped.ms).toBeGreaterThan(1_950);
    expect(capped.ms).toBeGreaterThan(one.ms);
    expect(capped.ms).toBeLessThan(30_000);
    expect(capped.reply.headers['preference-applied']).toBe('wait=2');
    expect(json(capped.reply)).toEqual([{ id, result: null, status: 'running' }]);
  });

  it.each([undefined, 'respond-async', 'wait=0'])('%s does not wait', async (prefer) => {
    const { reply, ms } = await timed([await running()], prefer);
    expect(ms).toBeLessThan(1_950);
    expect(reply.headers).not.toHaveProperty('preference-applied');
  });

  it('many callers may wait for one job', async () => {
    const id = await fleet.gateway.submit(['delay'], { ms: 300 });
    const replies = await Promise.all(Array.from({ length: 20 }, () => timed([id], 'wait=2')));
    for (const { reply } of replies) expect(reply.text).toContain('"status":"success"');
  });
});
