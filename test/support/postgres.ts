import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { PostgresServer, freePort } from '../../src/persistence/postgres-server.js';

/** A PostgreSQL server of its own, for tests that take the database away; it syncs to disk as a real one does. */
export class TestPostgres {
  private constructor(
    private readonly directory: string,
    private readonly server: PostgresServer,
    private readonly port: number,
    /** An empty database. */
    readonly url: string,
  ) {}

  static async start(): Promise<TestPostgres> {
    const directory = await mkdtemp(join(tmpdir(), 'infernet-gateway-outage-'));
    const server = await PostgresServer.open(directory, { max_connections: '50' });
    const port = await freePort();
    await server.start(port);
    return new TestPostgres(directory, server, port, await server.url(port, 'postgres'));
  }

  /** Ends it as a crash does; `revive` brings it back with all that was committed, on the same port. */
  async crash(): Promise<void> {
    await this.server.stop('immediate');
  }

  async revive(): Promise<void> {
    await this.server.start(this.port);
  }

  async stop(): Promise<void> {
    await this.server.stop('immediate');
    await rm(this.directory, { recursive: true, force: true });
  }
}
