import 'reflect-metadata';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Logger } from 'nestjs-pino';
import { AdminToken } from './admin/admin-token.js';
import { LiveUpdates } from './admin/live-updates.js';
import { AppModule } from './app.module.js';
import type { Settings } from './config/settings.js';
import { messageOf } from './errors.js';
import { isDatabaseUnavailable } from './persistence/database-errors.js';
import { Dispatcher } from './dispatch/dispatcher.js';
import { createHttpAdapter } from './http/http-server.js';
import { JobEvents } from './jobs/job-events.js';
import { Lanes } from './lanes/lanes.js';
import { LeasesRepository } from './lanes/leases.repository.js';
import { Rescues } from './lanes/rescues.js';
import { Replicas } from './lanes/replicas.js';
import { NodeClient } from './nodes/node-client.js';
import { NodesService } from './nodes/nodes.service.js';
import { StreamClient } from './nodes/stream-client.js';
import { startEmbeddedPostgres } from './persistence/embedded-postgres.js';
import { Offering } from './subscriptions/offering.js';
import { applyMigrations } from './persistence/migrations.js';
import { Permits } from './streams/permits.js';
import { StreamsService } from './streams/streams.service.js';
import { Sampler } from './stats/sampler.js';

/** How long a start waits for a database that is away, in ms. */
const DATABASE_PATIENCE_MS = 60_000;

/** A running gateway. */
export interface Gateway {
  /** Where it listens, for callers on this machine. */
  readonly url: string;
  readonly adminToken: string;
  /** The token was made just now and has not been shown to anybody. */
  readonly adminTokenIsNew: boolean;
  /** Stops accepting, finishes what is in flight within the budget, lets go of everything. Safe twice. */
  stop(): Promise<void>;
}

/**
 * Starts a gateway: database, migrations, application, nodes, and only then the port, so that the first request
 * meets a fleet that was looked at.
 * @param log receives a line for each step of the start worth knowing
 */
export async function startGateway(settings: Settings, log?: (line: string) => void): Promise<Gateway> {
  const postgres =
    settings.databaseUrl === undefined
      ? await startEmbeddedPostgres({ dataDir: join(settings.dataDir, 'postgres'), log })
      : undefined;
  const databaseUrl = settings.databaseUrl ?? (postgres?.url as string);
  let app: NestFastifyApplication | undefined;
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= stopAll());

  async function stopAll(): Promise<void> {
    if (app !== undefined) await stopApplication(app, settings.shutdownBudgetMs);
    await postgres?.stop();
  }

  try {
    await untilAvailable(() => applyMigrations(databaseUrl, { log }), log);
    const { token, isNew } = await AdminToken.load(settings.adminToken, settings.dataDir);
    app = await NestFactory.create<NestFastifyApplication>(
      AppModule.forRoot({ settings, databaseUrl, adminToken: token }),
      createHttpAdapter(settings, () => stopped !== undefined),
      { bodyParser: false, bufferLogs: true, abortOnError: false },
    );
    app.useLogger(app.get(Logger));
    await app.init();
    // The embedded server belongs to one gateway at a time, so nobody else can hold a lease.
    if (postgres !== undefined) await app.get(LeasesRepository).voidAll();
    const nodes = app.get(NodesService);
    await untilAvailable(() => nodes.load(settings.nodes), log);
    await app.get(Lanes).start();
    await app.get(Replicas).start();
    app.get(Rescues).start();
    app.get(Sampler).start();
    await listen(app, settings);
    return { url: localUrl(app), adminToken: token.value, adminTokenIsNew: isNew, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A database that is starting, or away for a moment, does not stop the start. */
async function untilAvailable<T>(act: () => Promise<T>, log?: (line: string) => void): Promise<T> {
  const giveUpAt = Date.now() + DATABASE_PATIENCE_MS;
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!isDatabaseUnavailable(error) || Date.now() > giveUpAt) throw error;
      log?.(`Waiting for the database: ${messageOf(error)}`);
      await sleep(1_000);
    }
  }
}

/** Where IPv6 is switched off, every address means every IPv4 address. */
async function listen(app: NestFastifyApplication, { port, host }: Settings): Promise<void> {
  try {
    await app.listen(port, host);
  } catch (error) {
    if (host !== '::' || (error as { code?: unknown }).code !== 'EAFNOSUPPORT') throw error;
    await app.listen(port, '0.0.0.0');
  }
}

/** In phases: no new requests, then what is on its way to nodes, then the duties, then connections. */
async function stopApplication(app: NestFastifyApplication, budgetMs: number): Promise<void> {
  app.get(JobEvents).stop();
  app.get(LiveUpdates).stop();
  const busy = [app.get(Dispatcher), app.get(StreamsService), app.get(Offering)];
  await Promise.all(busy.map((part) => part.stop(budgetMs)));
  app.get(Permits).stop();
  app.get(Rescues).stop();
  await app.get(Lanes).stop();
  await app.get(Replicas).stop();
  await app.get(Sampler).stop();
  const impatience = setTimeout(() => app.getHttpServer().closeAllConnections(), budgetMs);
  await app.close().finally(() => clearTimeout(impatience));
  await app.get(StreamClient).close();
  await app.get(NodeClient).close();
}

function localUrl(app: NestFastifyApplication): string {
  const address = app.getHttpServer().address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  const host = ['0.0.0.0', '::'].includes(address.address) ? '127.0.0.1' : address.address;
  return `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
}
