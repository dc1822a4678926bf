import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Processor, WorkerHost, getQueueToken } from '@nestjs/bullmq';
import type { INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import type { Job, Queue } from 'bullmq';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import { PostgresServer, freePort } from '../../src/persistence/postgres-server.js';
import { type Duty, QUEUES, type RetryPayload } from '../../src/queue/queue-names.js';
import { QueueModule, type QueueModuleOptions } from '../../src/queue/queue.module.js';
import { TestRedis } from '../support/redis.js';
import { hasTool } from '../support/requirements.js';

/** A store that the queues can live in, and that can be taken away. */
interface Store {
  options: QueueModuleOptions;
  stop(): Promise<void>;
  start(): Promise<void>;
  remove(): Promise<void>;
}

async function postgresStore(): Promise<Store> {
  const directory = await mkdtemp(join(tmpdir(), 'infernet-gateway-queue-'));
  const server = await PostgresServer.open(directory, { fsync: 'off' });
  const port = await freePort();
  await server.start(port);
  return {
    options: { databaseUrl: await server.url(port, 'postgres') },
    stop: () => server.stop('immediate'),
    start: () => server.start(port),
    remove: async () => {
      await server.stop('immediate');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function redisStore(): Promise<Store> {
  const redis = await TestRedis.start();
  return {
    // Proves by the way that PostgreSQL is not used: there is none at this address.
    options: { databaseUrl: 'postgresql://nobody@127.0.0.1:1/none', redisUrl: redis.url },
    stop: () => redis.kill(),
    start: () => redis.launch(),
    remove: () => redis.stop(),
  };
}

/** What the workers of one test received. */
class Deliveries {
  readonly all: { name: string; data: unknown; by: string; at: number }[] = [];
  failing = false;
  of = (name: string) => this.all.filter((delivery) => delivery.name === name);
}

@Processor(QUEUES.retries)
class RetryWorker extends WorkerHost {
  constructor(
    readonly deliveries: Deliveries,
    readonly replica: string,
  ) {
    super();
  }

  process(job: Job): Promise<void> {
    this.deliveries.all.push({ name: job.name, data: job.data, by: this.replica, at: Date.now() });
    return this.deliveries.failing ? Promise.reject(new Error('not yet')) : Promise.resolve();
  }
}

@Processor(QUEUES.duties)
class DutyWorker extends RetryWorker {}

const stores: [string, boolean, () => Promise<Store>][] = [
  ['PostgreSQL', true, postgresStore],
  ['Redis', hasTool('redis-server', 'the queues on Redis'), redisStore],
];

describe.each(stores.filter(([, available]) => available))(
  'queues on %s',
  (_name, _available, createStore) => {
    let store: Store;
    const replicas: INestApplicationContext[] = [];

    beforeAll(async () => {
      store = await createStore();
    });
    afterEach(async () => {
      await Promise.all(replicas.splice(0).map((replica) => replica.close()));
    });
    afterAll(() => store.remove());

    async function startReplica(deliveries: Deliveries, name = 'one', options = store.options) {
      const providers = [RetryWorker, DutyWorker].map((Worker) => ({
        provide: Worker,
        useFactory: () => new Worker(deliveries, name),
      }));
      const module = await Test.createTestingModule({
        imports: [QueueModule.forRoot(options)],
        providers,
      }).compile();
      await module.init();
      replicas.push(module);
      const retries = module.get<Queue<RetryPayload>>(getQueueToken(QUEUES.retries));
      const duties = module.get<Queue>(getQueueToken(QUEUES.duties));
      return { module, retries, duties };
    }
    /** Sends a message, trying again while the store is away, and waits until a worker has it. */
    async function sendAndReceive(retries: Queue<RetryPayload>, jobId: string, deliveries: Deliveries) {
      await vi.waitFor(() => retries.add('retry', { jobId }), { timeout: 20_000, interval: 100 });
      const received = () => expect(deliveries.all.map(({ data }) => data)).toContainEqual({ jobId });
      await vi.waitFor(received, { timeout: 20_000 });
    }

    it('deliver a delayed message once, about on time', async () => {
      const deliveries = new Deliveries();
      const { retries } = await startReplica(deliveries);
      const sent = Date.now();
      await retries.add('retry', { jobId: 'a' }, { delay: 1_000 });
      await vi.waitFor(() => expect(deliveries.all).toHaveLength(1), { timeout: 30_000, interval: 10 });
      expect(deliveries.all[0]?.data).toEqual({ jobId: 'a' });
      expect((deliveries.all[0]?.at ?? 0) - sent).toBeGreaterThanOrEqual(995);
      expect((deliveries.all[0]?.at ?? 0) - sent).toBeLessThan(8_000);
    });

    it('back off exponentially, with jitter', async () => {
      const deliveries = new Deliveries();
      deliveries.failing = true;
      const { retries } = await startReplica(deliveries);
      const backoff = { type: 'exponential', delay: 400, jitter: 0.5 };
      await retries.addBulk(
        ['a', 'b', 'c', 'd'].map((jobId) => ({
          name: jobId,
          data: { jobId },
          opts: { attempts: 3, backoff },
        })),
      );
      await vi.waitFor(() => expect(deliveries.all).toHaveLength(12), { timeout: 30_000, interval: 20 });
      const gaps = ['a', 'b', 'c', 'd'].map((jobId) => {
        const [first, second, third] = deliveries.of(jobId).map(({ at }) => at) as [number, number, number];
        return [second - first, third - second] as [number, number];
      });
      for (const [first, second] of gaps) {
        expect(first).toBeGreaterThanOrEqual(195); // 400 ms less up to a half
        expect(second).toBeGreaterThanOrEqual(395); // 800 ms less up to a half
        expect(first + second).toBeLessThan(10_000);
      }
      expect(new Set(gaps.map(String)).size).toBeGreaterThan(1);
    });

    it('run a scheduled duty on one of two replicas at a time', async () => {
      const duty: Duty = 'retention';
      const deliveries = new Deliveries();
      const [one, two] = [await startReplica(deliveries, 'one'), await startReplica(deliveries, 'two')];
      // Every replica registers the duties at its start; the second registration replaces the first.
      const from = Date.now();
      for (const { duties } of [one, two])
        await duties.upsertJobScheduler(duty, { every: 500 }, { name: duty });
      await vi.waitFor(() => expect(deliveries.of(duty).length).toBeGreaterThanOrEqual(8), {
        timeout: 30_000,
      });
      await one.duties.removeJobScheduler(duty);
      // The first may come at once, the second at the next multiple of the period; from then on at most one a period.
      const times = deliveries.of(duty).map(({ at }) => at);
      expect(times.length).toBeLessThanOrEqual(2 + ((times.at(-1) ?? 0) - from) / 500);
    });

    it('survive a restart of the store without a restart of the gateway', async () => {
      const deliveries = new Deliveries();
      const { retries } = await startReplica(deliveries);
      await sendAndReceive(retries, 'before', deliveries);
      await store.stop();
      const asked = Date.now();
      await expect(retries.add('retry', { jobId: 'lost' })).rejects.toThrow();
      expect(Date.now() - asked).toBeLessThan(8_000);
      await store.start();
      await sendAndReceive(retries, 'back', deliveries);
    });

    it('need no store at the start of the gateway, and may lose it while they start', async () => {
      const deliveries = new Deliveries();
      const early = await startReplica(deliveries);
      await store.stop();
      const late = await startReplica(deliveries);
      await store.start();
      await sendAndReceive(early.retries, 'early', deliveries);
      await sendAndReceive(late.retries, 'late', deliveries);
      expect(deliveries.all).toHaveLength(2);
    });

    it('close cleanly: no connection stays open', async () => {
      const sockets = () =>
        process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
      await vi.waitFor(() => expect(sockets()).toBe(0), { timeout: 20_000 });
      const deliveries = new Deliveries();
      const { module, retries } = await startReplica(deliveries);
      await sendAndReceive(retries, 'a', deliveries);
      expect(sockets()).toBeGreaterThan(0);
      await module.close();
      replicas.pop();
      await vi.waitFor(() => expect(sockets()).toBe(0), { timeout: 20_000 });
    });

    it('close in bounded time while the store is away', async () => {
      const deliveries = new Deliveries();
      const { module, retries } = await startReplica(deliveries);
      await sendAndReceive(retries, 'a', deliveries);
      await store.stop();
      const asked = Date.now();
      await module.close();
      replicas.pop();
      expect(Date.now() - asked).toBeLessThan(25_000);
      await store.start();
    });
  },
);

describe.runIf(hasTool('redis-server', 'two stores in one process'))('two gateways in one process', () => {
  it('keep to their own stores', async () => {
    const [postgres, redis] = await Promise.all([postgresStore(), redisStore()]);
    const modules = await Promise.all(
      [postgres, redis].map((store) =>
        Test.createTestingModule({ imports: [QueueModule.forRoot(store.options)] }).compile(),
      ),
    );
    const [onPostgres, onRedis] = modules.map((module) => module.get<Queue>(getQueueToken(QUEUES.retries)));
    await onPostgres?.add('retry', { jobId: 'a' });
    await onRedis?.addBulk([
      { name: 'retry', data: { jobId: 'b' } },
      { name: 'retry', data: { jobId: 'c' } },
    ]);
    expect(await onPostgres?.getWaitingCount()).toBe(1);
    expect(await onRedis?.getWaitingCount()).toBe(2);
    await Promise.all(modules.map((module) => module.close()));
    await Promise.all([postgres.remove(), redis.remove()]);
  });
});
