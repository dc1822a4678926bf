import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PrismaPg } from '@prisma/adapter-pg';

import { PrismaClient } from '../generated/prisma/client.js';

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
 * The Prisma client of this process. Connects at the first query and again after an outage; queries made
 * meanwhile fail with errors that `isDatabaseUnavailable` recognises.
 *
 * Disconnects in the last phase of Nest's shutdown: after `onModuleDestroy` the HTTP server still finishes
 * its requests and the queue workers their jobs, and both need the database.
 */
@Injectable()
export class Database extends PrismaClient implements OnApplicationShutdown {
  constructor(options: DatabaseOptions) {
    const pool = {
      connectionString: options.url,
      max: options.poolSize ?? 20,
      connectionTimeoutMillis: options.connectTimeoutMs ?? 5_000,
      keepAlive: true,
      application_name: 'infernet-gateway',
    };
    super({ adapter: new PrismaPg(pool, { onPoolError: options.onConnectionLost }) });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.$disconnect();
  }
}
