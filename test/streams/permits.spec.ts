import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { readSettings } from '../../src/config/settings.js';
import type { Dispatcher } from '../../src/dispatch/dispatcher.js';
import type { Place } from '../../src/dispatch/places.js';
import { Broadcast } from '../../src/persistence/broadcast.js';
import { Database } from '../../src/persistence/database.js';
import { uuidv7 } from '../../src/protocol/uuid.js';
import { Permits } from '../../src/streams/permits.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

/*
 * Two replicas that tell each other of permits over a real database. Not real: the dispatcher of the one that grants them, whose
 * node has room for everybody, and how fast time passes.
 */

/** The ids of so many do not fit one message. */
const STREAMS = 450;
const NODE = uuidv7();

let test: TestDatabase;
let database: Database;
let grantingBroadcast: Broadcast;
let usingBroadcast: Broadcast;
let granting: Permits;
let using: Permits;
/** Streams whose place is free again. */
let left: string[];

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  test = await createTestDatabase();
  database = new Database({ url: test.url, poolSize: 3 });
  left = [];
  const dispatcher = { placeNow: ({ id }: { id: string }) => placeFor(id) } as unknown as Dispatcher;
  const settings = readSettings({});
  [grantingBroadcast, usingBroadcast] = [await listening(), await listening()];
  granting = new Permits(dispatcher, grantingBroadcast, settings);
  using = new Permits(dispatcher, usingBroadcast, settings);
});
afterEach(async () => {
  vi.useRealTimers();
  for (const permits of [granting, using]) permits.stop();
  for (const broadcast of [grantingBroadcast, usingBroadcast]) await broadcast.stop();
  await database.$disconnect();
  await test.drop();
});

async function listening(): Promise<Broadcast> {
  const broadcast = new Broadcast(database, test.url, uuidv7());
  broadcast.audience = 1;
  await broadcast.start();
  return broadcast;
}

function placeFor(id: string): Place {
  const decision = { why: 'only', expectedMs: 0, serviceMs: 0, ahead: 0 } as unknown as Place['decision'];
  const nothing = (): void => undefined;
  const deeds = { accepted: nothing, started: nothing, handOver: nothing, leave: () => void left.push(id) };
  return { nodeId: NODE, fence: 1, decision, ...deeds };
}

/** Resolves when the granting replica has heard everything that the other one has said so far. */
async function allHeard(): Promise<void> {
  const heard = new Promise((resolve) => grantingBroadcast.once('queued', resolve));
  await usingBroadcast.publish('queued', ['the last']);
  await heard;
}

it('keeps the permits of hundreds of streams that run, and voids them when nobody speaks of them any more', async () => {
  const ids = Array.from({ length: STREAMS }, () => uuidv7());
  const ask = (id: string): ReturnType<Permits['ask']> =>
    using.ask({ id, containers: ['pieces'] }, new AbortController().signal);
  const places = await Promise.all(ids.map(ask));
  expect(places.filter((place) => place?.nodeId === NODE)).toHaveLength(STREAMS);
  for (let seconds = 0; seconds < 40; seconds += 10) {
    vi.setSystemTime(Date.now() + 10_000);
    using.runOnce();
    await allHeard();
    granting.runOnce();
    expect(left).toEqual([]);
  }
  using.stop();
  vi.setSystemTime(Date.now() + 20_000);
  granting.runOnce();
  expect(left.sort()).toEqual(ids.sort());
});
