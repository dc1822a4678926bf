import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';

import { PrismaClient } from '../generated/prisma/client.js';
import { preparedStatement, statementName } from './prepared-statement.js';

/** Text as a `text` column takes it: anything but NUL, which a node's answer may hold. */
export function storableText(text: string): string {
  return text.replaceAll('\0', '\uFFFD');
}

export interface DatabaseOptions {
  /** `postgresql://user:password@host:port/database`. */
  url: string;
  /** Most connections open at once; default 20. */
  poolSize?: number;
  /** Longest wait for a free or a new connection, in milliseconds; default 5000. */
  connectTimeoutMs?: number;
  /** Told of connections that broke while idle; the pool replaces them by itself. */
  onConnectionLost?: (error: Error) => void;
}

/**
 * PostgreSQL keeps the plan of a prepared statement, made when the tables may have been all but empty. Without these ways
 * to read a whole table it goes through keys then too, and costs the same when the tables have grown;
 * docs/decisions/0022-kept-plans.md.
 */
const GO_THROUGH_KEYS = 'SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off';

/**
 * The Prisma client of this process. Connects at the first query and again after an outage; queries made
 * meanwhile fail with errors that `isDatabaseUnavailable` recognises.
 *
 * Disconnects in the last phase of Nest's shutdown: after `onModuleDestroy` the HTTP server still finishes
 * its requests and the queue workers their jobs, and both need the database.
 */
@Injectable()
export class Database extends PrismaClient implements OnApplicationShutdown {
  private readonly pool: pg.Pool;

  constructor(options: DatabaseOptions) {
    const pool = new pg.Pool({
      connectionString: options.url,
      max: options.poolSize ?? 20,
      connectionTimeoutMillis: options.connectTimeoutMs ?? 5_000,
      keepAlive: true,
      application_name: 'infernet-gateway',
      // The pool waits for the promise, though its types do not say so.
      // oxlint-disable-next-line typescript/no-misused-promises
      onConnect: (client) => client.query(GO_THROUGH_KEYS),
    });
    pool.on('error', (error) => options.onConnectionLost?.(error));
    const names = new StatementNames();
    super({
      adapter: new PrismaPg(pool, { statementNameGenerator: ({ sql }) => names.of(sql) }),
      // Longer messages repeat the arguments of a call, and those may be secrets.
      errorFormat: 'minimal',
    });
    this.pool = pool;
  }

  /**
   * Runs a statement of a hot path, prepared once in each session, on a connection of the same pool but past Prisma,
   * which costs more than the statement itself; docs/decisions/0019-hot-path.md has the figures. Values are as `pg` takes
   * and gives them: `bytea` as Buffer, `uuid` as text. Starts at once, unlike Prisma's own calls.
   * @throws what `pg` throws; `isDatabaseUnavailable` knows it
   */
  async prepared<Row extends object>(parts: TemplateStringsArray, ...values: unknown[]): Promise<Row[]> {
    const { rows } = await this.pool.query<Row>({ ...preparedStatement(parts), values });
    return rows;
  }

  override async $disconnect(): Promise<void> {
    await super.$disconnect();
    if (!this.pool.ending) await this.pool.end();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.$disconnect();
  }
}

/** More texts than the project has; a text that varied would otherwise fill the memory of every session. */
const MOST_NAMES = 200;

/**
 * Names for the statements on whole groups of rows that go through Prisma, as some are part of its transactions, so that
 * PostgreSQL plans them once in a session too. Their texts are constant, unlike those that Prisma composes.
 */
class StatementNames {
  private readonly names = new Map<string, string>();

  /** @returns an empty name for a statement that is to be planned each time */
  of(sql: string): string {
    if (!sql.includes('unnest(')) return '';
    const known = this.names.get(sql);
    if (known !== undefined) return known;
    if (this.names.size >= MOST_NAMES) return '';
    const name = statementName(sql);
    this.names.set(sql, name);
    return name;
  }
}
