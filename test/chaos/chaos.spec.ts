import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from '../../src/persistence/postgres-server.js';
import { readRows } from './callers.js';
import type { LedgerJob } from './ledger.js';
import { readOptions, UsageError } from './options.js';
import { overtakings } from './outage.js';
import { Random } from './random.js';
import { Relay } from './relay.js';
import { FAULT_KINDS, planFaults } from './schedule.js';
import { flawOf, type Work } from './workload.js';

// The chaos test is only worth something if it notices what it is there to notice. No process is real here but the
// relay and the server behind it.

describe('the schedule', () => {
  const input = { durationMs: 600_000, kinds: FAULT_KINDS, replicas: 2, nodes: 4 };

  it('is the same for the same seed and differs for another', () => {
    expect(planFaults({ ...input, seed: 7 })).toEqual(planFaults({ ...input, seed: 7 }));
    expect(planFaults({ ...input, seed: 7 })).not.toEqual(planFaults({ ...input, seed: 8 }));
  });

  it('leaves a kind where it is when others are left out', () => {
    const alone = planFaults({ ...input, kinds: ['kill-node'], seed: 7 });
    expect(planFaults({ ...input, seed: 7 }).filter(({ kind }) => kind === 'kill-node')).toEqual(alone);
  });

  it.each([
    ['kill-gateway', 30],
    ['kill-node', 30],
    ['restart-postgres', 5],
    ['restart-redis', 5],
    ['pause-gateway', 5],
  ])('strikes with %s at least %d times in ten minutes', (kind, times) => {
    const plan = planFaults({ ...input, seed: 7 });
    expect(plan.filter((fault) => fault.kind === kind).length).toBeGreaterThanOrEqual(times);
  });
});

it.each([['--minuets=3'], ['--minutes=soon'], ['--faults=kill-gatway'], ['--replicas=0'], ['--queue=mysql']])(
  'refuses %s',
  (argument) => {
    expect(() => readOptions([argument])).toThrow(UsageError);
  },
);

describe('reading a results list', () => {
  const id = '01a2086c-b79c-76af-8b32-6072235639ac';

  it('keeps the bytes of results', () => {
    const body = `[{"id":"${id}","result":{"output": 1.0},"status":"success"},{"id":"${id}","result":null,"status":"running"}]\n`;
    expect(readRows(body)).toEqual([
      { id, status: 'success', result: '{"output": 1.0}' },
      { id, status: 'running', result: 'null' },
    ]);
    expect(readRows('[]\n')).toEqual([]);
  });

  it.each(['{}', '', `[{"id":"${id}","status":"success","result":1}]\n`])('does not guess at %j', (body) => {
    expect(readRows(body)).toBeUndefined();
  });
});

describe('the expected result', () => {
  const work: Work = { key: 'k', containers: ['echo'], data: '{"key":"k","f":1.0}' };

  it('is byte for byte', () => {
    expect(flawOf(work, 'success', `{"container":"echo","output":${work.data}}`)).toBeUndefined();
    expect(flawOf(work, 'success', '{"container":"echo","output":{"key":"k","f":1}}')).toContain('expected');
  });

  it('may be a failure only with a reason', () => {
    expect(flawOf(work, 'failed', '{"container":"echo","error":"gave up"}')).toBeUndefined();
    expect(flawOf(work, 'failed', 'null')).toBeDefined();
  });

  it('is never a success of a container that fails', () => {
    const failing = { ...work, containers: ['always-fails'] };
    expect(flawOf(failing, 'success', '{"container":"always-fails","output":1}')).toBeDefined();
  });
});

describe('the order of dispatch', () => {
  const job = (key: string, sentAt: number, container = 'echo'): LedgerJob => {
    const work = { key, containers: [container], data: '{}' };
    return { id: key, work, caller: '', replica: 0, sentAt, ackedAt: sentAt + 10, misses: 0 };
  };
  const sightings = (...seen: [key: string, at: number][]) => [
    { sightings: new Map(seen.map(([key, at]) => [key, { nodeJobId: key, key, at }])) },
  ];

  it('is kept by jobs that go out as they came in, and between containers there is none', () => {
    const jobs = [job('a', 0), job('b', 100), job('c', 200, 'delay')];
    expect(overtakings(jobs, sightings(['a', 5_000], ['b', 6_000], ['c', 1_000]))).toEqual([]);
  });

  it('is broken by a later job that goes out earlier', () => {
    const jobs = [job('a', 0), job('b', 100)];
    const [found] = overtakings(jobs, sightings(['a', 9_000], ['b', 6_000]));
    expect([found?.job.id, found?.overtaken.id, found?.byMs]).toEqual(['b', 'a', 3_000]);
  });
});

describe('the relay', () => {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  const JOB = '{"id":"n1","containers":["echo"],"data":{"key":"k1"}}';

  /** A server that answers every request with what it got, behind a relay. */
  async function relayed(seed = 1): Promise<{ relay: Relay; bodies: string[]; url: string }> {
    const bodies: string[] = [];
    const server: Server = createServer((request, response) => {
      void text(request).then((body) => {
        bodies.push(body);
        response.writeHead(200, { connection: 'close' }).end(`got ${body}`);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const port = await freePort();
    const relay = new Relay(port, (server.address() as AddressInfo).port, new Random(seed));
    await relay.setNodeUp(true);
    closers.push(
      () => relay.close(),
      () => server.close(),
    );
    return { relay, bodies, url: `http://127.0.0.1:${port}/api/jobs` };
  }

  const submit = (url: string): Promise<string> =>
    fetch(url, { method: 'POST', body: JOB, signal: AbortSignal.timeout(500) }).then(
      (answer) => answer.text(),
      (error: Error) => error.name,
    );

  it('passes everything on and keeps the ids of the jobs it saw', async () => {
    const { relay, url } = await relayed();
    expect(await submit(url)).toBe(`got ${JOB}`);
    expect(relay.sightings.get('n1')).toMatchObject({ key: 'k1' });
  });

  it('drops answers to submissions that the node has received, and no others', async () => {
    const { relay, bodies, url } = await relayed();
    await relay.set('drop-response');
    const answers = await Promise.all(Array.from({ length: 12 }, () => submit(url)));
    expect(bodies).toHaveLength(12);
    expect(new Set(answers)).toEqual(new Set([`got ${JOB}`, 'TypeError', 'TimeoutError']));
    expect((await fetch(url)).status).toBe(200);
    expect(relay.strikes.get('drop-response')).toBe(
      answers.filter((answer) => !answer.startsWith('got')).length,
    );
  });

  it('lets nothing through a black hole, and everything again after it', async () => {
    const { relay, bodies, url } = await relayed();
    await relay.set('black-hole');
    expect(await submit(url)).toBe('TimeoutError');
    expect(bodies).toEqual([]);
    await relay.set('pass');
    expect(await submit(url)).toBe(`got ${JOB}`);
  });

  it('refuses while its node is down, whatever the fault', async () => {
    const { relay, url } = await relayed();
    await relay.setNodeUp(false);
    await relay.set('pass');
    const refusal = new Promise((resolve) => connect(relay.port, '127.0.0.1').once('error', resolve));
    expect(await refusal).toMatchObject({ code: 'ECONNREFUSED' });
    await relay.setNodeUp(true);
    expect(await submit(url)).toBe(`got ${JOB}`);
  });
});
