import { Logger } from '@nestjs/common';
import { describe, expect, it, vi } from 'vitest';
import { Broadcast } from './broadcast.js';
import type { Database } from './database.js';

/*
 * Real: what a message looks like and what becomes of it. Fake: PostgreSQL, which here hands every message to those
 * who listen, as NOTIFY does. The connection itself is tested with a real server in test/recovery.
 */

type Heard = [topic: string, ids: string[]];

/** Replicas that share one channel. */
function replicas(...origins: string[]): {
  broadcasts: Broadcast[];
  heard: Heard[][];
  statements: string[][];
} {
  const statements: string[][] = [];
  const database = {
    prepared: (_query: TemplateStringsArray, _channel: string, sent: string[]) => {
      statements.push(sent);
      for (const message of sent) {
        for (const each of broadcasts) {
          (each as unknown as { receive(message: string): void }).receive(message);
        }
      }
      return Promise.resolve([]);
    },
  } as unknown as Database;
  const broadcasts = origins.map((origin) => new Broadcast(database, 'postgresql://nowhere', origin));
  const heard = broadcasts.map((broadcast): Heard[] => {
    broadcast.audience = origins.length - 1;
    const news: Heard[] = [];
    for (const topic of ['queued', 'claimed', 'finished', 'nodes'] as const) {
      broadcast.on(topic, (ids) => news.push([topic, ids]));
    }
    return news;
  });
  return { broadcasts, heard, statements };
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
    const { broadcasts, heard, statements } = replicas('01890000-0000-7000-8000-0123456789ab', 'b');
    await broadcasts[0]?.publish('finished', ids(1_001));
    expect(heard[1]?.flatMap(([, some]) => some)).toEqual(ids(1_001));
    for (const message of statements.flat()) expect(Buffer.byteLength(message)).toBeLessThan(8_000);
  });

  it('says nothing while nobody listens', async () => {
    const { broadcasts, statements } = replicas('a');
    await broadcasts[0]?.publish('queued', ['x']);
    expect(statements).toEqual([]);
  });

  it('keeps the order of news, and sends together what comes together', async () => {
    const { broadcasts, heard, statements } = replicas('a', 'b');
    const [a] = broadcasts as [Broadcast];
    await Promise.all([
      a.publish('queued', ['x']),
      a.publish('queued', ['y']),
      a.publish('claimed', ['x']),
      a.publish('queued', ['x']),
    ]);
    const expected = [
      ['queued', ['x', 'y']],
      ['claimed', ['x']],
      ['queued', ['x']],
    ];
    expect(heard[1]).toEqual(expected);
    expect(statements).toHaveLength(1);
  });

  it('hands over what is said of nodes as it was said', async () => {
    const { broadcasts } = replicas('a', 'b');
    const heard: unknown[] = [];
    broadcasts[1]?.on('lanes', (news) => heard.push(...news));
    const news = [
      ['n1', { kinds: { '["a","b"]': { slots: 2 } } }],
      ['n2', { kinds: { tooLarge: 'x'.repeat(9_000) } }],
      ['n3', { kinds: {} }],
    ] as const;
    await broadcasts[0]?.publish('lanes', news);
    expect(heard).toEqual([news[0], news[2]]);
  });

  it('says so when it leaves out what no message holds', async () => {
    const { broadcasts } = replicas('a', 'b');
    const warned = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    await broadcasts[0]?.publish('permits', [
      { is: 'held', ids: ids(250) },
      { is: 'held', ids: ids(100) },
    ]);
    expect(warned.mock.calls).toEqual([
      [
        expect.stringMatching(
          /^Other replicas were not told of permits: \d+ bytes are too many: \{"is":"held"/,
        ),
      ],
    ]);
    warned.mockRestore();
  });

  it('never throws: news may be missed', async () => {
    const database = { $executeRaw: () => Promise.reject(new Error('away')) } as unknown as Database;
    const broadcast = new Broadcast(database, 'postgresql://nowhere', 'a');
    broadcast.audience = 1;
    await expect(broadcast.publish('queued', ['x'])).resolves.toBeUndefined();
  });

  it('takes no notice of what it does not know', () => {
    const { broadcasts, heard } = replicas('a', 'b');
    for (const message of ['', 'z', '["z","unheard-of",["x"]]', '["z","queued","x"]', '{}', '[']) {
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
