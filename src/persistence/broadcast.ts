import { EventEmitter } from 'node:events';
import { Logger } from '@nestjs/common';
import pg from 'pg';
import { messageOf } from '../errors.js';
import type { Database } from './database.js';

/** What replicas tell each other; the ids are of jobs, or of nodes for `nodes`. */
export interface BroadcastEvents {
  /** Jobs were committed as `queued`. */
  queued: [ids: string[]];
  /** Jobs reached a terminal state. */
  finished: [ids: string[]];
  /** The configuration or the lease of nodes changed. */
  nodes: [ids: string[]];
  /** The connection was made (again): what was said before may have been missed. */
  connected: [];
}

type Topic = Exclude<keyof BroadcastEvents, 'connected'>;

const CHANNEL = 'infernet_gateway';
/** PostgreSQL takes payloads of less than 8,000 bytes; an id has 36 characters and a comma. */
const IDS_PER_MESSAGE = 200;
const RECONNECT_MS = 1_000;

/**
 * News between replicas over PostgreSQL's NOTIFY. It may be missed, when the connection breaks for example, so
 * nothing may depend on it but speed: who hears `connected` reads the truth from the tables.
 */
export class Broadcast extends EventEmitter<BroadcastEvents> {
  private readonly log = new Logger(Broadcast.name);
  private client: pg.Client | undefined;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  /** Other replicas that listen; with none, nothing is sent. */
  audience = 0;

  /**
   * @param origin this replica; its own messages are not delivered to it
   */
  constructor(
    private readonly database: Database,
    private readonly databaseUrl: string,
    private readonly origin: string,
  ) {
    super();
  }

  /** Listens from now on, and again whenever the connection breaks. */
  async start(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.databaseUrl,
      application_name: 'infernet-gateway broadcast',
      keepAlive: true,
    });
    this.client = client;
    client.on('notification', ({ payload }) => this.receive(payload ?? ''));
    client.on('error', () => undefined);
    client.on('end', () => this.reconnect(client));
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      this.emit('connected');
    } catch (error) {
      this.log.warn(`No news from other replicas: ${messageOf(error)}`);
      await client.end().catch(() => undefined);
      this.reconnect(client);
    }
  }

  /**
   * Tells the other replicas, if there are any. News of nodes is rare and goes out in any case: a replica that has just
   * come may not be known yet. Never throws: news may be missed.
   */
  async publish(topic: Topic, ids: readonly string[]): Promise<void> {
    if (topic !== 'nodes' && (this.audience === 0 || ids.length === 0)) return;
    for (let at = 0; at === 0 || at < ids.length; at += IDS_PER_MESSAGE) {
      const message = [this.origin, topic, ...ids.slice(at, at + IDS_PER_MESSAGE)].join(',');
      await this.database.$executeRaw`SELECT pg_notify(${CHANNEL}, ${message})`.catch((error: unknown) => {
        this.log.warn(`Other replicas were not told about ${topic}: ${messageOf(error)}`);
      });
    }
  }

  /** Safe when never started, safe twice. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.client?.end().catch(() => undefined);
  }

  private receive(message: string): void {
    const [origin, topic, ...ids] = message.split(',');
    if (origin === this.origin) return;
    if (topic === 'queued' || topic === 'finished' || topic === 'nodes') this.emit(topic, ids);
  }

  private reconnect(client: pg.Client): void {
    if (this.stopped || client !== this.client) return;
    this.client = undefined;
    this.timer = setTimeout(() => void this.start(), RECONNECT_MS);
  }
}
