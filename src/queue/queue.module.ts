import { BullModule, WorkerHost } from '@nestjs/bullmq';
import { type BeforeApplicationShutdown, type DynamicModule, Module } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService } from '@nestjs/core';

import { BackedQueue, BackedWorker, type QueueConnection } from './backed-queue.js';
import { QUEUES } from './queue-names.js';

export interface QueueModuleOptions {
  /** The queues live in the schema `bullmq` of this database, made and migrated at start; see `redisUrl`. */
  databaseUrl: string;
  /** `redis://…` or `rediss://…`: the queues live in this Redis instead, which must be set to `noeviction`. */
  redisUrl?: string;
}

/** Connections of one queue or worker to PostgreSQL; each worker adds one that listens. */
const POOL_SIZE = 2;

// Chooses nothing for the process: these classes pick the store by their own connection.
BullModule.queueClass = BackedQueue;
BullModule.workerClass = BackedWorker;

/**
 * The queues of DESIGN: `retries` and `duties`. Inject one by `@InjectQueue(QUEUES.retries)`, work it by
 * `@Processor(QUEUES.retries)`. What they carry can be made anew from the database, so finished messages
 * are not kept and losing the store loses no job.
 */
@Module({})
export class QueueModule implements BeforeApplicationShutdown {
  constructor(private readonly discovery: DiscoveryService) {}

  static forRoot(options: QueueModuleOptions): DynamicModule {
    const queues = BullModule.registerQueue(
      ...Object.values(QUEUES).map((name) => ({
        name,
        defaultJobOptions: { removeOnComplete: true, removeOnFail: { count: 100 } },
      })),
    );
    return {
      module: QueueModule,
      global: true,
      imports: [
        BullModule.forRoot({ connection: connectionOf(options), prefix: 'infernet-gateway' }),
        queues,
        DiscoveryModule,
      ],
      exports: [queues],
    };
  }

  /**
   * Lets the workers finish what they do and take no more. Nest's BullMQ module would do it one phase
   * later, together with the disconnecting of the database, which their work needs.
   */
  async beforeApplicationShutdown(): Promise<void> {
    const hosts = this.discovery.getProviders().filter(({ instance }) => instance instanceof WorkerHost);
    await Promise.all(hosts.map(({ instance }) => (instance as WorkerHost).worker.close()));
  }
}

function connectionOf({ databaseUrl, redisUrl }: QueueModuleOptions): QueueConnection {
  if (redisUrl) return { url: redisUrl };
  return { connectionString: databaseUrl, schema: 'bullmq', migrate: true, max: POOL_SIZE };
}
