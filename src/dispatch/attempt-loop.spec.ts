import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EmulatedNode } from '../emulator/emulated-node.js';
import type { FaultSettings } from '../emulator/faults.js';
import { Commits } from '../persistence/commits.js';
import { FleetNode } from '../nodes/node.js';
import { nodeConfig } from '../nodes/node.fixture.js';
import { NodeClient } from '../nodes/node-client.js';
import { AttemptLoop, type Trip, type TripGuide } from './attempt-loop.js';
import { AttemptStore } from './attempt-store.js';

/*
 * Real: the loop, the client, the nodes and their sockets. Fake: the store, which writes its transitions down, and the
 * guide, which offers the nodes in their order.
 */

class RecordingStore extends AttemptStore {
  readonly transitions: string[] = [];
  /** Whether what is asked of it is still ours to do. */
  isOurs = true;
  /** Whether the lease of the next node is lost before it is moved on to. */
  losesNext = false;
  isBroken = false;
  admit = () => this.note('admitted');
  claim = () => Promise.reject(new Error('the loop claims nothing'));
  accepted: AttemptStore['accepted'] = async (attempt, nodeJobId) =>
    void (await this.note(`accepted ${attempt.number}${nodeJobId === undefined ? '' : ' under another id'}`));
  noteAccepted: AttemptStore['noteAccepted'] = async (attempt) =>
    void (await this.note(`accepted ${attempt.number}`));
  moveOn: AttemptStore['moveOn'] = (attempt, { state }, next) =>
    this.losesNext ? Promise.resolve(false) : this.note(`${state} ${attempt.number}, next ${next.number}`);
  requeue: AttemptStore['requeue'] = (attempt, { state }) => this.note(`${state} ${attempt.number}, queued`);
  fail: AttemptStore['fail'] = async (attempt, _containers, _ending, error) =>
    void (await this.note(`failed ${attempt.number}: ${error}`));
  withdraw = async (): Promise<void> => void (await this.note('withdrawn'));

  private note(transition: string): Promise<boolean> {
    this.transitions.push(transition);
    if (this.isBroken) return Promise.reject(new Error('no such column'));
    return Promise.resolve(this.isOurs);
  }
}

let client: NodeClient;
let nodes: EmulatedNode[];
let store: RecordingStore;
let faults: number;
let unclear: number;
let outcomes: string[];
let othersMayTake: boolean;
let leased: Set<string>;
/** Nodes on which an attempt is counted. */
let counted: string[];

beforeEach(async () => {
  client = new NodeClient();
  store = new RecordingStore();
  faults = 0;
  unclear = 0;
  outcomes = [];
  othersMayTake = false;
  counted = [];
  leased = new Set(['n0', 'n1']);
  nodes = [
    await EmulatedNode.start({ rateLimit: false, name: 'n0' }),
    await EmulatedNode.start({ rateLimit: false, name: 'n1' }),
  ];
});
afterEach(async () => {
  await client.close();
  await Promise.all(nodes.map((node) => node.stop()));
});

const SUBMIT_TIMEOUT_MS = 300;
let ids = 0;

function trip(): Trip {
  ids += 1;
  counted.push('n0');
  const id = `01890000-0000-7000-8000-${String(ids).padStart(12, '0')}`;
  return {
    jobId: id,
    containers: ['echo'],
    features: [],
    avoid: [],
    shun: [],
    erred: false,
    body: Buffer.from('{"containers":["echo"],"data":{}}'),
    attempt: { id, jobId: id, nodeId: 'n0', number: 1, fence: 7 },
    acknowledged: false,
    refusal: undefined,
  };
}

function takeOff(nodeId: string): void {
  const index = counted.indexOf(nodeId);
  expect(index, `nothing is counted on ${nodeId}`).toBeGreaterThanOrEqual(0);
  counted.splice(index, 1);
}

function loop(): AttemptLoop {
  const fleet = new Map(
    nodes.map((node) => [node.name, new FleetNode(nodeConfig({ id: node.name, url: node.url }))]),
  );
  const guide: TripGuide = {
    node: ({ nodeId }) => (leased.has(nodeId) ? fleet.get(nodeId) : undefined),
    nextNode: (_trip, tried) => {
      const next = nodes.map(({ name }) => name).find((name) => !tried.has(name));
      if (next === undefined) return undefined;
      counted.push(next);
      return { nodeId: next, fence: 8 };
    },
    othersMayTake: () => othersMayTake,
    accepted: () => undefined,
    attemptEnded: (_attempt, outcome) => void outcomes.push(outcome),
    unclear: () => void (unclear += 1),
    notAccepted: ({ nodeId }, _containers, fault) => {
      faults += Number(fault);
      takeOff(nodeId);
    },
    leftBehind: ({ nodeId }) => takeOff(nodeId),
  };
  const senders = {
    submit: (node: FleetNode, body: Buffer) => client.submit(node, body, SUBMIT_TIMEOUT_MS),
  };
  return new AttemptLoop(senders, store, new Commits(), guide);
}

describe('AttemptLoop', () => {
  it('sends once to a node that accepts', async () => {
    expect(await loop().send(trip())).toMatchObject({
      kind: 'delivered',
      certain: true,
      attempt: { nodeId: 'n0' },
    });
    expect(counted).toEqual(['n0']);
    expect(store.transitions).toEqual(['accepted 1']);
    expect(nodes[1]?.received).toEqual([]);
  });

  it('goes on to the next node, with an id of its own', async () => {
    await nodes[0]?.faults.set({ refuse: true });
    const journey = trip();
    const outcome = await loop().send(journey);
    expect(outcome).toMatchObject({ kind: 'delivered', attempt: { nodeId: 'n1', number: 2 } });
    expect(counted).toEqual(['n1']);
    expect(store.transitions).toEqual(['unreachable 1, next 2', 'accepted 2']);
    expect(nodes[1]?.received[0]?.body.toString()).not.toContain(journey.attempt.id);
    expect(faults).toBe(1);
  });

  it('keeps the id of a node that made its own', async () => {
    nodes[0]?.respondWith('POST /api/jobs', '{"id":"theirs"}');
    expect(await loop().send(trip())).toMatchObject({ kind: 'delivered', nodeJobId: 'theirs' });
    expect(store.transitions).toEqual(['accepted 1 under another id']);
  });

  it('holds the job when no node is left', async () => {
    await Promise.all(nodes.map((node) => node.faults.set({ refuse: true })));
    expect(await loop().send(trip())).toEqual({ kind: 'held', refusedBy: [], erred: false });
    expect(store.transitions).toEqual(['unreachable 1, next 2', 'unreachable 2, queued']);
    expect(outcomes).toEqual(['unreachable', 'unreachable']);
    expect(counted).toEqual([]);
  });

  it('takes a 429 for a reason to ask the next node, and blames nobody', async () => {
    nodes[0]?.respondWith('POST /api/jobs', '<html>', { status: 429, contentType: 'text/html' });
    expect(await loop().send(trip())).toMatchObject({ kind: 'delivered', attempt: { nodeId: 'n1' } });
    expect([faults, counted]).toEqual([0, ['n1']]);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['on the way to the next node', async () => nodes[0]?.faults.set({ refuse: true })],
    ['as no node is left', async () => Promise.all(nodes.map((node) => node.faults.set({ refuse: true })))],
    [
      'as a node that takes ids of its own has accepted',
      () => Promise.resolve(nodes[0]?.respondWith('POST /api/jobs', '{"id":"theirs"}')),
    ],
  ])('leaves nothing counted when the store fails %s', async (_when, prepare) => {
    await prepare();
    store.isBroken = true;
    await expect(loop().send(trip())).rejects.toThrow('no such column');
    expect(counted).toEqual([]);
  });

  it.each<FaultSettings>([
    { loseAnswer: true },
    { resetAfterAccept: true },
    { hang: true },
    { resetBeforeAccept: true },
  ])('leaves a job that may be on the node to whoever collects there: %j', async (fault) => {
    await nodes[0]?.faults.set(fault);
    const journey = trip();
    expect(await loop().send(journey)).toEqual({
      kind: 'delivered',
      attempt: journey.attempt,
      nodeJobId: journey.attempt.id,
      certain: false,
    });
    expect([unclear, faults, store.transitions]).toEqual([1, 0, []]);
    expect(nodes[1]?.received).toEqual([]);
  });

  it('sends nothing without the lease of the node', async () => {
    leased.delete('n0');
    expect(await loop().send(trip())).toEqual({ kind: 'abandoned' });
    expect(nodes[0]?.received).toEqual([]);
    expect(counted).toEqual([]);
  });

  it('goes no further once the job is not ours any more', async () => {
    await nodes[0]?.faults.set({ refuse: true });
    store.isOurs = false;
    expect(await loop().send(trip())).toEqual({ kind: 'abandoned' });
    expect(nodes[1]?.received).toEqual([]);
    expect(counted).toEqual([]);
  });

  it('holds a job when the lease of the next node was lost before it got there', async () => {
    await nodes[0]?.faults.set({ refuse: true });
    store.losesNext = true;
    expect(await loop().send(trip())).toEqual({ kind: 'held', refusedBy: [], erred: false });
    expect(store.transitions).toEqual(['unreachable 1, queued']);
    expect(nodes[1]?.received).toEqual([]);
    expect(counted).toEqual([]);
  });

  it('holds a job that was refused here when a node of another replica may take it', async () => {
    othersMayTake = true;
    const journey = { ...trip(), containers: ['no'], body: Buffer.from('{"containers":["no"],"data":{}}') };
    expect(await loop().send(journey)).toEqual({ kind: 'held', refusedBy: ['n0', 'n1'], erred: false });
    expect(store.transitions.at(-1)).toBe('refused 2, queued');
  });

  it('passes a refusal on after all have refused, and takes the job away', async () => {
    const journey = { ...trip(), containers: ['no'], body: Buffer.from('{"containers":["no"],"data":{}}') };
    expect(await loop().send(journey)).toEqual({
      kind: 'refused',
      refusal: { status: 405, error: 'Container not supported', params: { container: 'no' } },
    });
    expect(store.transitions).toEqual(['refused 1, next 2', 'withdrawn']);
    expect([faults, counted]).toEqual([0, []]);
  });

  it('fails a job that was acknowledged and is then refused', async () => {
    await Promise.all(nodes.map((node) => node.faults.set({ error500Json: true })));
    expect(await loop().send({ ...trip(), acknowledged: true })).toEqual({ kind: 'failed' });
    expect(store.transitions[1]).toMatch(/^failed 2: /);
  });
});
