import { describe, expect, it } from 'vitest';
import { Broadcast } from './broadcast.js';
import type { Database } from './database.js';

/*
 * Real: what a message looks like and what becomes of it. Fake: PostgreSQL, which here hands every message to those
 * who listen, as NOTIFY does. The connection itself is tested with a real server in test/recovery.
 */

type Heard = [topic: string, ids: string[]];

/** Replicas that share one channel. */
function replicas(...origins: string[]): { broadcasts: Broadcast[]; heard: Heard[][]; messages: string[] } {
  const messages: string[] = [];
  const database = {
    $executeRaw: (_query: TemplateStringsArray, _channel: string, message: string) => {
      messages.push(message);
      for (const each of broadcasts) {
        (each as unknown as { receive(message: string): void }).receive(message);
      }
      return Promise.resolve(1);
    },
  } as unknown as Database;
  const broadcasts = origins.map((origin) => new Broadcast(database, 'postgresql://nowhere', origin));
  const heard = broadcasts.map((broadcast): Heard[] => {
    broadcast.audience = origins.length - 1;
    const news: Heard[] = [];
    for (const topic of ['queued', 'finished', 'nodes'] as const) {
      broadcast.on(topic, (ids) => news.push([topic, ids]));
    }
    return news;
  });
  return { broadcasts, heard, messages };
}

const ids = (count: number): string[] =>
  Array.from({ length: count }, (_, n) => `01890000-0000-7000-8000-${String(n).padStart(12, '0')}`);

describe('Broadcast', () => {
  it('tells the others, and not itself', async () => {
    const { broadcasts, heard } = replicas('a', 'b', 'c');
    await broadcasts[0]?.publish('queued', ['x', 'y']);
    expect(heard).toEqual([[], [['queued', ['x', 'y']]], [['queued', ['x', 'y']]]]);
  });

  it('keeps each message under what PostgreSQL takes, and loses no id', async () => {
    const { broadcasts, heard, messages } = replicas('01890000-0000-7000-8000-0123456789ab', 'b');
    await broadcasts[0]?.publish('finished', ids(1_001));
    expect(heard[1]?.flatMap(([, some]) => some)).toEqual(ids(1_001));
    for (const message of messages) expect(message.length).toBeLessThan(8_000);
  });

  it('says nothing while nobody listens', async () => {
    const { broadcasts, messages } = replicas('a');
    await broadcasts[0]?.publish('queued', ['x']);
    expect(messages).toEqual([]);
  });

  it('never throws: news may be missed', async () => {
    const database = { $executeRaw: () => Promise.reject(new Error('away')) } as unknown as Database;
    const broadcast = new Broadcast(database, 'postgresql://nowhere', 'a');
    broadcast.audience = 1;
    await expect(broadcast.publish('queued', ['x'])).resolves.toBeUndefined();
  });

  it('takes no notice of what it does not know', () => {
    const { broadcasts, heard } = replicas('a', 'b');
    for (const message of ['', 'z', 'z,unheard-of,x', ',']) {
      (broadcasts[1] as unknown as { receive(message: string): void }).receive(message);
    }
    expect(heard[1]).toEqual([]);
  });

  it('stops when it was never started, and twice', async () => {
    const { broadcasts } = replicas('a');
    await broadcasts[0]?.stop();
    await expect(broadcasts[0]?.stop()).resolves.toBeUndefined();
  });
});
