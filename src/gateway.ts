import 'reflect-metadata';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger as NestLogger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Logger, PinoLogger } from 'nestjs-pino';
import { AdminToken } from './admin/admin-token.js';
import { LiveUpdates } from './admin/live-updates.js';
import { AppModule } from './app.module.js';
import type { Settings } from './config/settings.js';
import { messageOf } from './errors.js';
import { Commits } from './persistence/commits.js';
import { isDatabaseUnavailable } from './persistence/database-errors.js';
import { Discovery } from './discovery/discovery.js';
import { Dispatcher } from './dispatch/dispatcher.js';
import { Readiness } from './health/readiness.js';
import { createHttpAdapter } from './http/http-server.js';
import { OpenRequests } from './http/open-requests.js';
import { logRequests } from './http/request-log.js';
import { traceRequests } from './http/request-spans.js';
import { JobEvents } from './jobs/job-events.js';
import { Lanes } from './lanes/lanes.js';
import { LeasesRepository } from './lanes/leases.repository.js';
import { Rescues } from './lanes/rescues.js';
import { Replicas } from './lanes/replicas.js';
import { SecretMask } from './logging/secret-mask.js';
import { PrometheusMetrics } from './metrics/prometheus-metrics.js';
import { Fleet } from './nodes/fleet.js';
import type { FleetNode } from './nodes/node.js';
import { NodeClient } from './nodes/node-client.js';
import { NodesService } from './nodes/nodes.service.js';
import { StreamClient } from './nodes/stream-client.js';
import { startEmbeddedPostgres } from './persistence/embedded-postgres.js';
import { Offering } from './subscriptions/offering.js';
import { applyMigrations } from './persistence/migrations.js';
import { Permits } from './streams/permits.js';
import { StreamsService } from './streams/streams.service.js';
import { Sampler } from './stats/sampler.js';
import { QueueModule } from './queue/queue.module.js';
import { shutDown, type PhaseReport, type ShutdownPhase } from './shutdown.js';

/** How long a start waits for a database that is away, in ms. */
const DATABASE_PATIENCE_MS = 60_000;
/** How long the phases of a stop may take that wait for nobody outside: leases, queues, connections, in ms. */
const PHASE_BUDGET_MS = 10_000;
/** The embedded server writes everything down before it ends, in ms. */
const POSTGRES_BUDGET_MS = 60_000;

/** A running gateway. */
export interface Gateway {
  /** Where it listens, for callers on this machine. */
  readonly url: string;
  readonly adminToken: string;
  /** The token was made just now and has not been shown to anybody. */
  readonly adminTokenIsNew: boolean;
  /** Stops in phases: finishes what is in flight within its budgets, lets go of everything. Safe twice. */
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
  const requests = new OpenRequests();
  const metrics = new PrometheusMetrics();
  let app: NestFastifyApplication | undefined;
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= stopAll());

  async function stopAll(): Promise<void> {
    const phases = app === undefined ? [] : phasesOf(app, requests, settings);
    if (postgres !== undefined) {
      phases.push({ name: 'embedded database', budgetMs: POSTGRES_BUDGET_MS, run: () => postgres.stop() });
    }
    await shutDown(phases, report);
  }

  try {
    await untilAvailable(() => applyMigrations(databaseUrl, { log }), log);
    const { token, isNew } = await AdminToken.load(settings.adminToken, settings.dataDir);
    const secrets = secretsOf(settings, databaseUrl, token);
    app = await NestFactory.create<NestFastifyApplication>(
      AppModule.forRoot({ settings, databaseUrl, adminToken: token, metrics, secrets }),
      createHttpAdapter(settings, requests, metrics),
      { bodyParser: false, bufferLogs: true, abortOnError: false },
    );
    app.useLogger(app.get(Logger));
    const server = app.getHttpAdapter().getInstance();
    logRequests(server, await app.resolve(PinoLogger));
    traceRequests(server);
    maskHeaders(app.get(Fleet), secrets);
    await app.init();
    // The embedded server belongs to one gateway at a time, so nobody else can hold a lease.
    if (postgres !== undefined) await app.get(LeasesRepository).voidAll();
    const nodes = app.get(NodesService);
    const discovery = app.get(Discovery);
    await untilAvailable(() => nodes.reload(), log);
    await untilAvailable(() => discovery.start(), log);
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

/** What the log must not hold, whatever it is told. */
function secretsOf(settings: Settings, databaseUrl: string, token: AdminToken): SecretMask {
  const secrets = new SecretMask();
  secrets.add(token.value, settings.metricsToken);
  secrets.addPasswordOf(databaseUrl);
  secrets.addPasswordOf(settings.redisUrl);
  return secrets;
}

/** The headers of nodes are credentials more often than not. */
function maskHeaders(fleet: Fleet, secrets: SecretMask): void {
  const mask = ({ config }: FleetNode): void => secrets.add(...Object.values(config.headers));
  fleet.on('joined', mask);
  fleet.on('changed', mask);
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

/**
 * The order of a stop. Whatever waits on something outside has a budget, and what a phase leaves undone is found again
 * by another replica, or at the next start:
 *
 * 1. leave: `/ready` says no, so that whatever balances load in front sends the next requests elsewhere.
 * 2. requests: no new connections; those that wait for a result are answered with what is known, streams may end by
 *    themselves within the budget and are cut then, all others are answered as usual.
 * 3. dispatch: nothing new is sent; submissions on their way to nodes are followed to their answer.
 * 4. lanes: nodes are handed over to the other replicas, with what was learned of them.
 * 5. queue: no more messages; those under way are finished.
 * 6. connections: to callers, nodes and the database.
 */
function phasesOf(app: NestFastifyApplication, requests: OpenRequests, settings: Settings): ShutdownPhase[] {
  const { shutdownGraceMs, shutdownBudgetMs } = settings;
  const server = app.getHttpServer();
  return [
    {
      name: 'leave',
      budgetMs: shutdownGraceMs + PHASE_BUDGET_MS,
      run: async () => {
        app.get(Readiness).leave();
        if (server.listening) await sleep(shutdownGraceMs);
      },
    },
    {
      name: 'requests',
      // Streams are cut when the budget is over, and then have to write down why.
      budgetMs: shutdownBudgetMs + PHASE_BUDGET_MS,
      run: async () => {
        requests.close();
        server.close();
        app.get(JobEvents).stop();
        app.get(LiveUpdates).stop();
        const answered = Promise.race([requests.idle(), sleep(shutdownBudgetMs, undefined, { ref: false })]);
        await Promise.all([app.get(StreamsService).stop(shutdownBudgetMs), answered]);
      },
    },
    {
      name: 'dispatch',
      budgetMs: shutdownBudgetMs + PHASE_BUDGET_MS,
      run: () => {
        app.get(Commits).stop();
        return Promise.all([Dispatcher, Offering].map((part) => app.get(part).stop(shutdownBudgetMs)));
      },
    },
    {
      name: 'lanes',
      budgetMs: PHASE_BUDGET_MS,
      run: async () => {
        await app.get(Discovery).stop();
        app.get(Permits).stop();
        await app.get(Sampler).stop();
        app.get(Rescues).stop();
        await app.get(Lanes).stop();
        await app.get(Replicas).stop();
      },
    },
    {
      name: 'queue',
      budgetMs: PHASE_BUDGET_MS,
      run: () => app.get(QueueModule).beforeApplicationShutdown(),
    },
    {
      name: 'connections',
      budgetMs: PHASE_BUDGET_MS,
      run: async () => {
        server.closeAllConnections();
        await app.close();
        await app.get(StreamClient).close();
        await app.get(NodeClient).close();
      },
    },
  ];
}

function report({ phase, outcome, ms, error }: PhaseReport): void {
  const log = new NestLogger('Shutdown');
  const fields = { phase, ms, ...(error === undefined ? {} : { err: error }) };
  if (outcome === 'done') log.log(fields, `Stopping: ${phase} done`);
  else log.warn(fields, `Stopping: ${phase} ${outcome}`);
}

function localUrl(app: NestFastifyApplication): string {
  const address = app.getHttpServer().address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  const host = ['0.0.0.0', '::'].includes(address.address) ? '127.0.0.1' : address.address;
  return `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
}
