import { EventEmitter } from 'node:events';
import { Logger } from '@nestjs/common';
import pg from 'pg';
import { messageOf } from '../errors.js';
import type { Database } from './database.js';

/** What replicas tell each other; the ids are of jobs, or of nodes for `nodes`. */
export interface BroadcastEvents {
  /** Jobs were committed as `queued`. */
  queued: [ids: string[]];
  /** Jobs that were `queued` were won for a node. */
  claimed: [ids: string[]];
  /** Jobs reached a terminal state. */
  finished: [ids: string[]];
  /** What nodes should be asked about their resources: model ids; empty for the resources themselves. */
  resources: [questions: string[]];
  /** There are offers of subscriptions to be sent to these nodes. */
  offers: [nodeIds: string[]];
  /** The configuration or the lease of nodes changed. */
  nodes: [ids: string[]];
  /** How nodes fare, from the replicas that work with them. */
  lanes: [news: LaneNews[]];
  /** Streams ask for places on nodes of other replicas, and give them back; as JSON. */
  permits: [news: unknown[]];
  /** The connection was made (again): what was said before may have been missed. */
  connected: [];
}

/** A node's id and what its replica says of it, as JSON. */
export type LaneNews = readonly [nodeId: string, summary: unknown];

type Topic = Exclude<keyof BroadcastEvents, 'connected'>;

/** What a message is about: its type tells the topic apart. */
type Item<Name extends Topic> = BroadcastEvents[Name][0][number];

interface Waiting {
  readonly topic: Topic;
  readonly items: readonly unknown[];
}

const CHANNEL = 'infernet_gateway';
/** PostgreSQL takes payloads of less than 8,000 bytes. */
const MESSAGE_BYTES = 7_900;
const TOPICS: ReadonlySet<string> = new Set<Topic>([
  'permits',
  'queued',
  'claimed',
  'finished',
  'resources',
  'offers',
  'nodes',
  'lanes',
]);
const RECONNECT_MS = 1_000;

/**
 * News between replicas over PostgreSQL's NOTIFY. It may be missed, when the connection breaks for example, so
 * nothing may depend on it but speed: who hears `connected` reads the truth from the tables. News of one replica is
 * heard in the order in which it was published; what gathers while a statement is under way goes with the next one.
 */
export class Broadcast extends EventEmitter<BroadcastEvents> {
  private readonly log = new Logger(Broadcast.name);
  private client: pg.Client | undefined;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private outbox: Waiting[] = [];
  private flushing: Promise<void> | undefined;
  /** Other replicas that listen; with none, nothing is sent. */
  audience = 0;

  /**
   * @param origin this replica; its own messages are not delivered to it
   */
  constructor(
    private readonly database: Database,
    private readonly databaseUrl: string,
    readonly origin: string,
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
   * come may not be known yet. Resolves when it was sent; never throws: news may be missed.
   */
  async publish<Name extends Topic>(topic: Name, items: readonly Item<Name>[]): Promise<void> {
    if (topic !== 'nodes' && (this.audience === 0 || items.length === 0)) return;
    this.outbox.push({ topic, items });
    while (this.outbox.length > 0) await (this.flushing ??= this.flush());
    await this.flushing;
  }

  /** Safe when never started, safe twice. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.client?.end().catch(() => undefined);
  }

  private async flush(): Promise<void> {
    // What is published in the same turn of the event loop goes together.
    await Promise.resolve();
    const waiting = this.outbox;
    this.outbox = [];
    const messages = messagesOf(this.origin, waiting, (topic, text) => {
      const size = `${Buffer.byteLength(text)} bytes`;
      this.log.warn(`Other replicas were not told of ${topic}: ${size} are too many: ${text.slice(0, 80)}…`);
    });
    try {
      await this.database
        .prepared`SELECT pg_notify(${CHANNEL}, message) FROM unnest(${messages}::text[]) AS message`;
    } catch (error) {
      this.log.warn(`Other replicas were not told: ${messageOf(error)}`);
    } finally {
      this.flushing = undefined;
    }
  }

  private receive(message: string): void {
    const [origin, topic, items] = parsed(message);
    if (origin === this.origin || typeof topic !== 'string' || !TOPICS.has(topic)) return;
    if (Array.isArray(items)) this.emit(topic as 'queued', items as string[]);
  }

  private reconnect(client: pg.Client): void {
    if (this.stopped || client !== this.client) return;
    this.client = undefined;
    this.timer = setTimeout(() => void this.start(), RECONNECT_MS);
  }
}

/**
 * As few messages as PostgreSQL takes, in order.
 * @param onTooLarge called with an item, as JSON, that is too large for any: it is left out
 */
function messagesOf(
  origin: string,
  waiting: readonly Waiting[],
  onTooLarge: (topic: Topic, text: string) => void,
): string[] {
  const messages: string[] = [];
  const room = MESSAGE_BYTES - JSON.stringify([origin, 'finished', []]).length;
  let topic: Topic | undefined;
  let texts: string[] = [];
  let bytes = 0;
  const close = (): void => {
    if (topic !== undefined) messages.push(`["${origin}","${topic}",[${texts.join(',')}]]`);
    topic = undefined;
    texts = [];
    bytes = 0;
  };
  for (const one of waiting) {
    if (one.topic !== topic) close();
    topic = one.topic;
    for (const item of one.items) {
      const text = JSON.stringify(item);
      const length = Buffer.byteLength(text) + 1;
      if (length > room) {
        onTooLarge(one.topic, text);
        continue;
      }
      if (bytes + length > room) {
        close();
        ({ topic } = one);
      }
      texts.push(text);
      bytes += length;
    }
  }
  close();
  return messages;
}

function parsed(message: string): unknown[] {
  try {
    const value: unknown = JSON.parse(message);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
