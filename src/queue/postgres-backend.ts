import { setTimeout as sleep } from 'node:timers/promises';
import {
  type BackendFactory,
  PostgresConnection,
  type PostgresConnectionOptions,
  PostgresQueueBackend,
} from 'bullmq';

/** Pause after a failure before the next attempt, in milliseconds. */
const RETRY_PAUSE_MS = 500;

/**
 * BullMQ's PostgreSQL backend, made to survive a server that is away or restarts while a gateway starts.
 * As of BullMQ 6.7 there are three gaps, each seen in tests: a failed first connection is remembered for
 * ever; a worker asks again at once after most errors, which without real waiting in between keeps the
 * event loop busy for good; and a connection that breaks while its schema is checked ends the process by an
 * `error` event without a listener.
 */
export const createPatientPostgresBackend: BackendFactory<PostgresQueueBackend, PostgresConnectionOptions> = (
  name,
  options,
  { withBlockingConnection = false } = {},
) => {
  const connection = new PatientConnection(options.connection);
  return new PatientBackend(connection, name, options, true, withBlockingConnection ? name : undefined);
};

class PatientConnection extends PostgresConnection {
  constructor(options: PostgresConnectionOptions) {
    super(options);
    const pool = this.pool as unknown as {
      on(
        event: 'connect',
        listener: (client: { on(event: 'error', ignore: () => void): void }) => void,
      ): void;
    };
    // The query that was under way fails as well, and the pool drops the connection.
    pool.on('connect', (client) => client.on('error', () => undefined));
  }

  override async waitUntilReady(): Promise<void> {
    for (;;) {
      try {
        await super.waitUntilReady();
        return;
      } catch (error) {
        // The base class keeps the promise of its one attempt in this private property.
        (this as unknown as { readyPromise?: Promise<void> }).readyPromise = undefined;
        if (this.isClosing) throw error;
        await sleep(RETRY_PAUSE_MS);
        if (this.isClosing) throw error;
      }
    }
  }
}

class PatientBackend extends PostgresQueueBackend {
  override async moveToActive(
    token: string,
    name?: string,
  ): ReturnType<PostgresQueueBackend['moveToActive']> {
    try {
      return await super.moveToActive(token, name);
    } catch (error) {
      await sleep(RETRY_PAUSE_MS);
      throw error;
    }
  }
}
