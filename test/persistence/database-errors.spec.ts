import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { isDatabaseUnavailable } from '../../src/persistence/database-errors.js';
import { Database, type DatabaseOptions } from '../../src/persistence/database.js';
import { PostgresServer, freePort } from '../../src/persistence/postgres-server.js';

describe.each(['of Prisma', 'that is prepared'])(
  'isDatabaseUnavailable, a statement %s, against a server that really goes away',
  (way) => {
    let directory: string;
    let server: PostgresServer;
    let port: number;
    let url: string;
    const clients: Database[] = [];

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'infernet-gateway-outage-'));
      server = await PostgresServer.open(directory, { max_connections: '20' });
      port = await freePort();
      await server.start(port);
      url = await server.url(port, 'postgres');
    });
    afterAll(async () => {
      await Promise.all(clients.map((client) => client.$disconnect()));
      await server.stop('immediate');
      await rm(directory, { recursive: true, force: true });
    });

    function connectTo(options: Partial<DatabaseOptions> = {}): Database {
      const client = new Database({ url, poolSize: 2, connectTimeoutMs: 5_000, ...options });
      clients.push(client);
      return client;
    }
    /** The error of `work`; fails the test when there is none. */
    const errorOf = (work: PromiseLike<unknown>): Promise<unknown> =>
      Promise.resolve(work).then(
        () => Promise.reject(new Error('the query succeeded')),
        (error: unknown) => error,
      );
    const isPrepared = way === 'that is prepared';
    const ping = (client: Database): Promise<object[]> =>
      isPrepared ? client.prepared`SELECT 1` : client.$queryRaw`SELECT 1`;
    /** Started at once; Prisma's own promises start when awaited. */
    const nap = (client: Database, seconds: number): Promise<unknown> =>
      isPrepared
        ? client.prepared`SELECT 1 FROM pg_sleep(${seconds})`
        : client.$queryRaw`SELECT 1 FROM pg_sleep(${seconds})`.then();

    it.each(['immediate', 'fast'] as const)(
      'a %s stop: in flight, while down, in a transaction',
      async (mode) => {
        const database = connectTo();
        await ping(database);
        const inFlight = [
          nap(database, 5),
          database.$transaction((tx) => tx.$queryRaw`SELECT 1 FROM pg_sleep(5)`),
        ];
        const failures = inFlight.map(errorOf);
        await sleep(200);
        await server.stop(mode);
        failures.push(errorOf(ping(database)), errorOf(database.node.findMany()));
        failures.push(errorOf(database.$transaction((tx) => tx.$queryRaw`SELECT 1`)));
        for (const error of await Promise.all(failures)) expect(error).toSatisfy(isDatabaseUnavailable);
        await server.start(port);
        await expect(ping(database)).resolves.toHaveLength(1);
      },
    );

    it('a restart: every error until the server is back', async () => {
      const database = connectTo();
      let restarted = false;
      const restart = server.stop('immediate').then(() => server.start(port));
      void restart.finally(() => (restarted = true));
      while (!restarted)
        await ping(database).catch((error: unknown) => expect(error).toSatisfy(isDatabaseUnavailable));
      await restart;
      await expect(ping(database)).resolves.toHaveLength(1);
    });

    it('no free connection in the pool', async () => {
      const database = connectTo({ connectTimeoutMs: 500 });
      await Promise.all([ping(database), ping(database)]);
      const busy = [nap(database, 1), nap(database, 1)];
      expect(await errorOf(ping(database))).toSatisfy(isDatabaseUnavailable);
      await Promise.all(busy);
      const again = [nap(database, 0.4), nap(database, 0.4)];
      const transaction = database.$transaction((tx) => tx.$queryRaw`SELECT 1`, { maxWait: 100 });
      expect(await errorOf(transaction)).toSatisfy(isDatabaseUnavailable);
      await Promise.all(again);
    });

    it('no free connection on the server', async () => {
      const database = connectTo({ poolSize: 30, connectTimeoutMs: 5_000 });
      const results = await Promise.allSettled(Array.from({ length: 30 }, () => nap(database, 0.5)));
      const errors = results.flatMap((result) =>
        result.status === 'rejected' ? [result.reason as unknown] : [],
      );
      expect(errors.length).toBeGreaterThan(0);
      for (const error of errors) expect(error).toSatisfy(isDatabaseUnavailable);
      await database.$disconnect();
    });

    it('a session ended by an administrator', async () => {
      const database = connectTo();
      const suicide = isPrepared
        ? database.prepared`SELECT pg_terminate_backend(pg_backend_pid())`
        : database.$queryRaw`SELECT pg_terminate_backend(pg_backend_pid())`;
      expect(await errorOf(suicide)).toSatisfy(isDatabaseUnavailable);
      await expect(ping(database)).resolves.toHaveLength(1);
    });

    it('a broken, a silent and a missing network path', async () => {
      const sockets: Socket[] = [];
      const relay = createServer((socket) => {
        sockets.push(socket);
        const upstream = connect(port, '127.0.0.1');
        socket.on('error', () => undefined).pipe(upstream);
        upstream.on('error', () => undefined).pipe(socket);
      }).listen(0, '127.0.0.1');
      const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
      await Promise.all([once(relay, 'listening'), once(silent, 'listening')]);
      const via = (to: number) =>
        connectTo({ url: url.replace(`:${port}/`, `:${to}/`), connectTimeoutMs: 1_000 });

      const relayed = via((relay.address() as AddressInfo).port);
      await ping(relayed);
      const reset = errorOf(nap(relayed, 5));
      await sleep(100);
      for (const socket of sockets) socket.resetAndDestroy();
      expect(await reset).toSatisfy(isDatabaseUnavailable);
      expect(await errorOf(ping(via((silent.address() as AddressInfo).port)))).toSatisfy(
        isDatabaseUnavailable,
      );
      expect(await errorOf(ping(via(await freePort())))).toSatisfy(isDatabaseUnavailable);
      const unnamed = connectTo({ url: 'postgresql://user:word@database.invalid/gateway' });
      expect(await errorOf(ping(unnamed))).toSatisfy(isDatabaseUnavailable);
      for (const socket of sockets) socket.destroy();
      relay.close();
      silent.close();
    });

    it('is not said of errors of the statement or of the configuration', async () => {
      const database = connectTo();
      const mistakes = [
        database.$queryRaw`SELECT 1/0`,
        database.$queryRaw`SELECT ${'x'}::uuid`,
        database.prepared`SELECT 1/0`,
        database.prepared`SELECT ${'x'}::uuid`,
        database.node.findMany(), // there is no such table
        connectTo({ url: url.replace('gateway:', 'gateway:wrong') }).$queryRaw`SELECT 1`,
        connectTo({ url: url.replace('/postgres', '/missing') }).$queryRaw`SELECT 1`,
      ];
      for (const error of await Promise.all(mistakes.map(errorOf)))
        expect(error).not.toSatisfy(isDatabaseUnavailable);
      for (const other of [undefined, 'Connection terminated', new TypeError('x')]) {
        expect(isDatabaseUnavailable(other)).toBe(false);
      }
    });
  },
);
