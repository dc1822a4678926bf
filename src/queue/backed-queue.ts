import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { Queue, type QueueOptions, Worker, type WorkerOptions } from 'bullmq';

import { createPatientPostgresBackend } from './postgres-backend.js';

/** What BullMQ needs to reach PostgreSQL, or Redis through ioredis. */
export type QueueConnection =
  { connectionString: string; schema: string; migrate: true; max: number } | { url: string };

/**
 * BullMQ chooses its store by the last constructor argument, or for the whole process. Nest's module calls
 * the constructor itself and passes only options, and one process may hold several gateways. So the store
 * is chosen here from the shape of the connection, for each queue and worker.
 */
function backendFor(connection: object): typeof createPatientPostgresBackend | undefined {
  return 'connectionString' in connection ? createPatientPostgresBackend : undefined;
}

/** Pause of a worker after it found the store away; BullMQ's default is 15 s. */
const RETRY_PAUSE_MS = 1_000;

const logger = new Logger('Queue');

/** A repeated error is reported once in this time, in milliseconds: an outage raises several a second. */
const QUIET_MS = 10_000;

/**
 * Logs the errors of a queue or worker. Both reconnect by themselves; but an `error` event nobody listens
 * to would be printed with its stack each time.
 */
function logErrors(source: {
  name: string;
  on(event: 'error', listener: (error: Error) => void): unknown;
}): void {
  let last = { message: '', at: 0 };
  source.on('error', (error) => {
    const message = error.message || String(error);
    if (message === last.message && Date.now() - last.at < QUIET_MS) return;
    last = { message, at: Date.now() };
    logger.warn(`${source.constructor.name} ${source.name}: ${message}`);
  });
}

/** Longest wait for a message under way when closing, in milliseconds. */
const CLOSE_LIMIT_MS = 5_000;
/** The same while Redis is away: how the message ended could not be written down anyway. */
const CLOSE_AWAY_LIMIT_MS = 500;

/**
 * A BullMQ queue on the store that its connection names. Its calls fail at once while the store is away; by
 * default ioredis would keep them, and their callers, until Redis is back.
 */
export class BackedQueue extends Queue {
  private ending: Promise<void> | undefined;

  constructor(name: string, options: QueueOptions) {
    super(name, onRedis(options, IMPATIENT), backendFor(options.connection) as never);
    logErrors(this);
  }

  /** Never rejects, and ends even when the store is away. */
  override close(): Promise<void> {
    return (this.ending ??= this.closeNow());
  }

  private async closeNow(): Promise<void> {
    const limitMs = await closeLimit(this.backend);
    await closeInTime(super.close(), limitMs, () => this.disconnect());
  }
}

/** A BullMQ worker on the store that its connection names; it waits for the store as long as it takes. */
export class BackedWorker extends Worker {
  private ending: Promise<void> | undefined;

  constructor(name: string, processor: ConstructorParameters<typeof Worker>[1], options: WorkerOptions) {
    const patient = { ...options, runRetryDelay: RETRY_PAUSE_MS };
    super(name, processor, onRedis(patient, PATIENT), backendFor(options.connection) as never);
    logErrors(this);
  }

  /**
   * Takes no more messages and waits for those under way. Never rejects, and ends even when the store is
   * away; a message cut off is delivered again.
   */
  override close(force = false): Promise<void> {
    return (this.ending ??= this.closeNow(force));
  }

  private async closeNow(force: boolean): Promise<void> {
    const limitMs = await closeLimit(this.backend);
    await closeInTime(super.close(force), limitMs, () =>
      Promise.all([this.backend.disconnectBlocking(false), this.disconnect()]),
    );
  }
}

/** Options of ioredis: fail what is asked while Redis is away, and what was under way when it went. */
const IMPATIENT = { enableOfflineQueue: false, maxRetriesPerRequest: 0 };
/** BullMQ demands this of workers. Said explicitly because Nest hands a worker the options of its queue. */
const PATIENT = { enableOfflineQueue: true, maxRetriesPerRequest: null };

function onRedis<Options extends QueueOptions>(
  options: Options,
  redis: typeof IMPATIENT | typeof PATIENT,
): Options {
  if (backendFor(options.connection)) return options;
  return { ...options, connection: { ...options.connection, ...redis } };
}

/** Only BullMQ's backend for Redis has a client; its promise stays open until the first connection stands. */
async function closeLimit(backend: object): Promise<number> {
  if (!('client' in backend)) return CLOSE_LIMIT_MS;
  const client = Promise.resolve(backend.client as Promise<{ readonly status: string }>);
  const isReady = client.then(
    ({ status }) => status === 'ready',
    () => false,
  );
  const soon = sleep(CLOSE_AWAY_LIMIT_MS, false, { ref: false });
  return (await Promise.race([isReady, soon])) ? CLOSE_LIMIT_MS : CLOSE_AWAY_LIMIT_MS;
}

/** BullMQ closes politely, which takes a connection; without one it would wait for ever. */
async function closeInTime(
  closing: Promise<void>,
  limitMs: number,
  disconnect: () => Promise<unknown>,
): Promise<void> {
  const polite = closing.then(
    () => true,
    () => false,
  );
  if (await Promise.race([polite, sleep(limitMs, false, { ref: false })])) return;
  // Stops the attempts to reconnect; the promise itself may stay open.
  void disconnect().catch(() => undefined);
}
