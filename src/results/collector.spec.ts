import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DeliveredJob } from '../dispatch/dispatcher.js';
import { EmulatedNode } from '../emulator/emulated-node.js';
import type { FinishedAttempt } from '../jobs/results-store.js';
import { FleetNode } from '../nodes/node.js';
import { nodeConfig } from '../nodes/node.fixture.js';
import { NodeClient } from '../nodes/node-client.js';
import { Collector, type CollectorOptions, type NodeEnding, type ResultSink } from './collector.js';

/*
 * Real: the collector, the client, the node and its sockets. Fake: the sink, which writes down what it is told. The
 * collector's own timer drives it, as in the gateway.
 */

class RecordingSink implements ResultSink {
  readonly news: string[] = [];
  readonly finished = new Map<string, FinishedAttempt>();
  readonly ends = new Map<string, NodeEnding>();
  /** The next so many commits fail. */
  failures = 0;
  private readonly waiting: (() => void)[] = [];

  finish: ResultSink['finish'] = async (job, finished, end) => {
    this.finished.set(job.attempt.jobId, finished);
    // As after a commit: the whole reply was read meanwhile.
    await new Promise((resolve) => setImmediate(resolve));
    this.ends.set(job.attempt.jobId, end());
    await this.note(`${finished.state} ${job.attempt.jobId}`);
  };
  confirm = (job: DeliveredJob): Promise<void> => this.note(`confirmed ${job.attempt.jobId}`);
  retry: ResultSink['retry'] = (job, { reason }) => this.note(`retry ${job.attempt.jobId}: ${reason}`);
  lost = (job: DeliveredJob, reason: string): Promise<void> =>
    this.note(`lost ${job.attempt.jobId}: ${reason}`);
  absent = (job: DeliveredJob, reason: string): Promise<void> =>
    this.note(`absent ${job.attempt.jobId}: ${reason}`);
  silent = (): void => void (this.silences += 1);
  hidden = (): void => void this.note('hidden');
  silences = 0;

  /** Resolves when so many pieces of news have come in all. */
  async heard(count: number): Promise<string[]> {
    while (this.news.length < count) await new Promise<void>((resolve) => this.waiting.push(resolve));
    return this.news;
  }

  private note(news: string): Promise<void> {
    this.news.push(news);
    for (const wake of this.waiting.splice(0)) wake();
    if (this.failures === 0) return Promise.resolve();
    this.failures -= 1;
    return Promise.reject(new Error('the database is away'));
  }
}

let client: NodeClient;
let node: EmulatedNode;
let sink: RecordingSink;
let collector: Collector;

beforeEach(async () => {
  client = new NodeClient();
  sink = new RecordingSink();
  node = await EmulatedNode.start({ rateLimit: false });
  collector = collect();
});
afterEach(async () => {
  collector.stop();
  await client.close();
  await node.stop();
});

function fleetNode(): FleetNode {
  return new FleetNode(nodeConfig({ id: 'n', url: node.url }));
}

function collect(options: Partial<CollectorOptions> = {}): Collector {
  return new Collector(fleetNode(), client, sink, {
    maxResultBytes: 100_000,
    timeoutMs: 300,
    containerTimeoutMs: 180_000,
    runningGraceMs: 30_000,
    noAnswerMs: 600,
    errorWhen: {},
    ...options,
  });
}

async function submitted(
  id: string,
  data: object = {},
  containers = ['echo'],
  certain = true,
): Promise<DeliveredJob> {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ id, containers, data });
  await fetch(`${node.url}/api/jobs`, { method: 'POST', headers, body });
  return delivered(id, containers, certain);
}
function delivered(id: string, containers = ['echo'], certain = true): DeliveredJob {
  const attempt = { id: `attempt of ${id}`, jobId: id, nodeId: 'n', number: 1, fence: 1 };
  return { attempt, nodeJobId: id, containers, certain };
}
const questions = (): string[] =>
  node.received.filter(({ method }) => method === 'GET').map(({ path }) => path);

function pausesBetweenQuestionsFor(id: string): number[] {
  const times = node.received.filter(({ path }) => path.includes(`id=${id}`)).map(({ at }) => at);
  return times.slice(1).map((at, index) => at - (times[index] as number));
}

async function untilAsked(times: number): Promise<void> {
  while (questions().length < times) await once(node.events, 'received');
}

describe('Collector', () => {
  it('asks for many jobs with one question and hands over the exact bytes', async () => {
    const jobs = await Promise.all(['a', 'b', 'c'].map((id) => submitted(id, { text: `é ${id}` })));
    for (const each of jobs) collector.watch(each);
    await sink.heard(3);
    expect([...sink.news].sort()).toEqual(['succeeded a', 'succeeded b', 'succeeded c']);
    expect(questions()).toEqual(['/api/jobs?id=a&id=b&id=c']);
    expect(sink.finished.get('b')?.result.toString()).toContain('{"text":"é b"}');
    while (collector.has('attempt of a')) await new Promise((resolve) => setImmediate(resolve));
  });

  it('asks for at most 200 at a time, and for intermediate results of chains only', async () => {
    const jobs = await Promise.all(Array.from({ length: 250 }, (_, n) => submitted(`j${n}`)));
    const chain = await submitted('chain', {}, ['step-one', 'step-two']);
    for (const each of [...jobs, chain]) collector.watch(each);
    await sink.heard(251);
    const counts = questions().map((path) => path.split('id=').length - 1);
    expect(Math.max(...counts)).toBeLessThanOrEqual(200);
    expect(counts.reduce((a, b) => a + b, 0)).toBe(251);
    expect(questions().filter((path) => path.includes('intermediate'))).toEqual([
      '/api/jobs?id=chain&intermediate=true',
    ]);
    expect(sink.finished.get('chain')?.intermediate).toBeInstanceOf(Buffer);
  });

  it('collects again what could not be committed', async () => {
    sink.failures = 1;
    collector.watch(await submitted('a'));
    await sink.heard(2);
    expect(sink.news).toEqual(['succeeded a', 'succeeded a']);
    expect(node.executions).toHaveLength(1);
  });

  it('says that a node has a job of which that was not certain, before anything else', async () => {
    collector.watch(await submitted('a', {}, ['echo'], false));
    expect(await sink.heard(2)).toEqual(['confirmed a', 'succeeded a']);
  });

  it('calls a job absent or lost that the node does not know, at the second question', async () => {
    collector.watch(delivered('certain'));
    collector.watch(delivered('uncertain', ['echo'], false));
    await sink.heard(2);
    expect([...sink.news].sort()).toEqual([
      'absent uncertain: no answer to the submission, and the node does not have it',
      'lost certain: the node does not know the job any more',
    ]);
    expect(questions()).toHaveLength(2);
  });

  it('leaves two seconds between these questions, whatever else the node is asked about', async () => {
    collector.watch(delivered('x', ['echo'], false));
    await untilAsked(1);
    for (let n = 0; n < 3; n += 1) {
      collector.watch(await submitted(`younger ${n}`, { ms: 0 }, ['delay']));
      await sink.heard(n + 1);
    }
    await sink.heard(4);
    expect(sink.news).toContainEqual(expect.stringMatching(/^absent x/));
    // A timer may be early by a moment.
    expect(pausesBetweenQuestionsFor('x')).toEqual([expect.toSatisfy((ms: number) => ms > 1_900)]);
  });

  it('leaves two seconds between these questions, though a caller waits', async () => {
    collector.watch(delivered('x', ['echo'], false));
    await untilAsked(1);
    const timer = setInterval(() => collector.hurry(['x'], performance.now() + 60_000), 10);
    await sink.heard(1);
    clearInterval(timer);
    expect(pausesBetweenQuestionsFor('x')).toEqual([expect.toSatisfy((ms: number) => ms > 1_900)]);
  });

  it('gives up asking a silent node only for what it was never seen to have', async () => {
    const seen = await submitted('seen', { ms: 60_000 }, ['delay']);
    collector.watch(seen);
    while (questions().length < 2) await new Promise((resolve) => node.events.once('received', resolve));
    await node.faults.set({ hang: true });
    collector.watch(delivered('unseen', ['delay'], false));
    const [news] = await sink.heard(1);
    expect(news).toMatch(/^absent unseen: the node was not seen to have it and gave no answer/);
    expect(sink.silences).toBeGreaterThan(0);
    expect(collector.has(seen.attempt.id)).toBe(true);
  });

  it('believes no absence of jobs that were sent from another address', async () => {
    collector.watch(delivered('elsewhere'), performance.now(), false);
    collector.watch(delivered('here'));
    expect(await sink.heard(1)).toEqual(['lost here: the node does not know the job any more']);
    expect(collector.has('attempt of elsewhere')).toBe(true);
  });

  it('calls a job lost that runs for longer than its containers may', async () => {
    const limitMs = 180_000 * 2 + 30_000;
    const chain = ['delay', 'echo'];
    const young = await submitted('young', { ms: 60_000 }, chain);
    const old = await submitted('old', { ms: 60_000 }, chain);
    collector.watch(young, performance.now() - limitMs + 20_000);
    collector.watch(old, performance.now() - limitMs - 1);
    expect(await sink.heard(1)).toEqual(['lost old: it ran for too long']);
    expect(collector.has(young.attempt.id)).toBe(true);
  });

  it.each([-3_600_000, 3_600_000])(
    'collects on when the clock is set by %d ms, and calls no job too old for that',
    async (stepMs) => {
      const now = Date.now.bind(Date);
      const job = await submitted('a', { ms: 300 }, ['delay']);
      collector.watch(job);
      const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + stepMs);
      try {
        expect(await sink.heard(1)).toEqual(['succeeded a']);
      } finally {
        clock.mockRestore();
      }
    },
  );

  it('fails a result that is too large, alone', async () => {
    collector.stop();
    collector = collect({ maxResultBytes: 2_000 });
    const jobs = [
      await submitted('a'),
      await submitted('big', { text: 'x'.repeat(5_000) }),
      await submitted('c'),
    ];
    for (const each of jobs) collector.watch(each);
    await sink.heard(3);
    expect([...sink.news].sort()).toEqual(['failed big', 'succeeded a', 'succeeded c']);
    expect(sink.finished.get('big')?.reason).toBe('The result is larger than 2000 bytes');
  });

  it('fails a result that cannot be judged, alone', async () => {
    collector.stop();
    const unjudged = {
      get echo(): never {
        throw new RangeError('Maximum call stack size exceeded');
      },
    };
    collector = collect({ errorWhen: unjudged });
    const jobs = [await submitted('a', { some: 'data' }), await submitted('b', { ms: 0 }, ['delay'])];
    for (const each of jobs) collector.watch(each);
    await sink.heard(2);
    expect([...sink.news].sort()).toEqual(['failed a', 'succeeded b']);
    expect(sink.finished.get('a')?.reason).toBe('The result could not be read');
    while (collector.has('attempt of a')) await new Promise((resolve) => setImmediate(resolve));
  });

  it('tells which jobs a job has overtaken: those that still ran as it was seen to have ended', async () => {
    const jobs = [
      await submitted('long', { ms: 60_000 }, ['delay']),
      await submitted('done', { ms: 0 }, ['delay']),
      await submitted('other', { ms: 60_000 }, ['delay', 'echo']),
      await submitted('short', { ms: 50 }, ['delay']),
    ];
    for (const each of jobs) collector.watch(each);
    await sink.heard(2);
    expect(sink.news).toEqual(['succeeded done', 'succeeded short']);
    expect([sink.ends.get('done')?.overtook, sink.ends.get('short')?.overtook]).toEqual([1, 1]);
  });

  it('asks in passing about a job that is not due, if one that came after it is', async () => {
    collector.watch(await submitted('old', { ms: 60_000 }, ['delay']), performance.now() - 10_000);
    await untilAsked(1);
    collector.watch(await submitted('young', { ms: 0 }, ['delay']));
    await sink.heard(1);
    expect(questions()).toEqual(['/api/jobs?id=old', '/api/jobs?id=old&id=young']);
    expect(sink.ends.get('young')?.overtook).toBe(1);
  });

  it('asks at once about a job that a caller waits for', async () => {
    const waited = await submitted('a', { ms: 60_000 }, ['delay']);
    collector.watch(waited, performance.now() - 100_000);
    while (questions().length < 1) await new Promise((resolve) => node.events.once('received', resolve));
    // By its age it would be asked about again after five seconds.
    const asked = new Promise((resolve) => node.events.once('received', resolve));
    await new Promise((resolve) => setImmediate(resolve));
    const startedAt = Date.now();
    collector.hurry(['a', 'unknown'], performance.now() + 4_000);
    await asked;
    expect(Date.now() - startedAt).toBeLessThan(4_000);
  });

  it('forgets everything when it stops, twice', () => {
    collector.watch(delivered('a'));
    collector.stop();
    collector.stop();
    expect(collector.has('attempt of a')).toBe(false);
  });
});
