import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSettings } from '../config/settings.js';
import { EmulatedNode } from '../emulator/emulated-node.js';
import { NoMetrics } from '../metrics/metrics.js';
import { Fleet } from '../nodes/fleet.js';
import { nodeConfig } from '../nodes/node.fixture.js';
import { NodeClient } from '../nodes/node-client.js';
import { NodeSenders } from '../nodes/node-senders.js';
import { Commits } from '../persistence/commits.js';
import { AttemptStore, type Claim, type ClaimedJob } from './attempt-store.js';
import { Dispatcher } from './dispatcher.js';
import { Scheduler } from './scheduler.js';

/*
 * Real: the dispatcher, its scheduler, the client, a node and its socket. Fake: the store, which commits when it is told to.
 */

type Claimed = ClaimedJob | 'gone' | 'unleased';

class SlowStore extends AttemptStore {
  /** Those that were wished for, and how to commit them. */
  readonly claims: ((outcome: Claimed) => void)[] = [];
  readonly requeued: string[] = [];
  readonly admissions: ((sent: boolean) => void)[] = [];
  admit = (): Promise<boolean> => new Promise((resolve) => this.admissions.push(resolve));
  claim = (wish: Claim): Promise<Claimed> => {
    this.wishes.push(wish);
    return new Promise((resolve) => this.claims.push(resolve));
  };
  accepted = () => Promise.resolve();
  noteAccepted = () => Promise.resolve();
  moveOn = () => Promise.resolve(true);
  requeue: AttemptStore['requeue'] = ({ nodeId }) => {
    this.requeued.push(nodeId);
    return Promise.resolve(true);
  };
  fail = () => Promise.resolve();
  withdraw = () => Promise.resolve();

  private readonly wishes: Claim[] = [];

  /** The oldest one is won. */
  win(): void {
    const wish = this.wishes[0] as Claim;
    const attempt = { ...wish, id: wish.jobId, number: 1 };
    this.claims[0]?.({ attempt, body: Buffer.from('{"containers":["echo"],"data":{}}') });
  }
}

const JOB = { id: '01890000-0000-7000-8000-000000000001', containers: ['echo'] };
/** Machines may be busy. */
const PATIENTLY = { timeout: 20_000 };
/** By then what is held would have been released. */
const A_WHILE_MS = 100;

let client: NodeClient;
let node: EmulatedNode;
let fleet: Fleet;
let store: SlowStore;
let scheduler: Scheduler;
let dispatcher: Dispatcher;

beforeEach(async () => {
  const settings = readSettings({});
  client = new NodeClient();
  node = await EmulatedNode.start({ rateLimit: false });
  fleet = new Fleet();
  store = new SlowStore();
  scheduler = new Scheduler(fleet, new NoMetrics(), settings);
  const senders = new NodeSenders(client, settings, fleet);
  dispatcher = new Dispatcher(senders, store, new Commits(), scheduler, fleet, settings, new NoMetrics());
  join('n1');
});
afterEach(async () => {
  await dispatcher.stop(0);
  await client.close();
  await node.stop();
});

/** Registers the node under an id; only `n1` is up. */
function join(id: string): void {
  fleet.put(nodeConfig({ id, url: node.url }), {
    version: '1.4.0',
    chain: { enabled: false, address: '' },
    containers: [{ id: 'echo', external: true, image: 'i', description: 'd' }],
    pending: { offchain: 0, onchain: 0 },
  });
  const joined = fleet.get(id);
  if (joined === undefined) return;
  joined.health = id === 'n1' ? 'up' : 'down';
  joined.lease = { fence: 3, validUntilMs: Infinity };
  fleet.emit('changed', joined);
}

describe('an attempt that is being committed, and may be found in the store before that is known here', () => {
  it('is on its way if it was chosen for a new job', async () => {
    const body = Buffer.from('{"containers":["echo"],"data":{}}');
    const submitted = dispatcher.submit({ ...JOB, caller: 'me', requiresProof: false, body });
    expect(store.admissions).toHaveLength(1);
    expect(dispatcher.isSending(JOB.id)).toBe(true);
    store.admissions[0]?.(true);
    expect(await submitted).toEqual({ kind: 'acknowledged' });
    expect(dispatcher.isSending(JOB.id)).toBe(false);
  });

  it('is on its way if it was chosen for a held one', async () => {
    scheduler.hold([JOB]);
    await expect.poll(() => store.claims, PATIENTLY).toHaveLength(1);
    expect(dispatcher.isSending(JOB.id)).toBe(true);
    store.claims[0]?.('gone');
    await expect.poll(() => dispatcher.isSending(JOB.id), PATIENTLY).toBe(false);
  });
});

describe('a held job that is being won', () => {
  beforeEach(async () => {
    scheduler.hold([JOB]);
    await expect.poll(() => store.claims, PATIENTLY).toHaveLength(1);
  });

  it('is not released again when somebody still finds it queued, nor when it is on its way', async () => {
    scheduler.hold([JOB]);
    await sleep(A_WHILE_MS);
    expect(store.claims).toHaveLength(1);
    await node.faults.set({ hang: true });
    store.win();
    await expect.poll(() => node.received, PATIENTLY).not.toEqual([]);
    scheduler.hold([JOB]);
    await sleep(A_WHILE_MS);
    expect(store.claims).toHaveLength(1);
    expect(scheduler.loadOf('n1').inFlight).toBe(1);
  });

  it('is released again when it ended meanwhile and was started anew', async () => {
    dispatcher.forget(JOB.id);
    scheduler.hold([JOB]);
    await expect.poll(() => store.claims, PATIENTLY).toHaveLength(2);
  });

  it('is released again when it was gone and is queued anew', async () => {
    store.claims[0]?.('gone');
    await expect.poll(() => scheduler.loadOf('n1').inFlight, PATIENTLY).toBe(0);
    scheduler.hold([JOB]);
    await expect.poll(() => store.claims, PATIENTLY).toHaveLength(2);
  });
});

it('a job that a node answered with a JSON 5xx waits for another one, though the store names that node last', async () => {
  join('n2');
  await node.faults.set({ error500Json: true });
  scheduler.hold([JOB]);
  await expect.poll(() => store.claims, PATIENTLY).toHaveLength(1);
  store.win();
  await expect.poll(() => scheduler.held, PATIENTLY).toBe(1);
  expect(store.requeued).toEqual(['n1']);
  // As the sweep does with what has waited for long.
  scheduler.hold([{ ...JOB, avoid: [], shun: ['n1'] }]);
  await sleep(A_WHILE_MS);
  expect(store.claims).toHaveLength(1);
  expect(scheduler.held).toBe(1);
});
