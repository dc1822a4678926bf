import { beforeEach, describe, expect, it } from 'vitest';
import { Commits } from '../persistence/commits.js';
import type { Attempt, AttemptStore, NewJob } from './attempt-store.js';
import { tripOf, type Refusal, type TripOutcome } from './attempt-loop.js';
import { ACKNOWLEDGED, admitInTime, answerBy } from './submission.js';

/* Fake: the store, whose database is away when it is told to be. test/recovery/database.spec.ts has a real one. */

const away = (): Error => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
const JOB: NewJob = {
  id: 'j1',
  caller: 'c',
  containers: ['echo'],
  requiresProof: false,
  body: Buffer.from('{}'),
};

let calls: string[];
let isAway: boolean;
let admission: Promise<boolean>;
let settle: (sent: boolean) => void;

/** Machines may be busy. */
const PATIENTLY = { timeout: 20_000 };

beforeEach(() => {
  calls = [];
  isAway = false;
  admission = new Promise((resolve) => {
    settle = resolve;
  });
});

const store: Pick<AttemptStore, 'admit' | 'withdraw'> = {
  admit: () => admission,
  withdraw: (id) => {
    calls.push(`withdraw ${id}`);
    return isAway ? Promise.reject(away()) : Promise.resolve();
  },
};
const admit = (deadline: number): Promise<boolean> =>
  admitInTime({ store, commits: new Commits() }, JOB, undefined, deadline);

const soon = (): number => Date.now() + 50;
const later = (): number => Date.now() + 60_000;

describe('admitInTime', () => {
  it.each([true, false])('says what the store says: %s', async (sent) => {
    settle(sent);
    expect(await admit(later())).toBe(sent);
    expect(calls).toEqual([]);
  });

  it('that fails is taken away again, as soon as the database is back', async () => {
    isAway = true;
    admission = Promise.reject(away());
    await expect(admit(later())).rejects.toThrow('ECONNREFUSED');
    await expect.poll(() => calls.length, PATIENTLY).toBe(1);
    isAway = false;
    await expect.poll(() => calls, PATIENTLY).toEqual(['withdraw j1', 'withdraw j1']);
  });

  it('that is late is refused in time, and taken away once it is there', async () => {
    await expect(admit(soon())).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
    });
    expect(calls).toEqual([]);
    settle(true);
    await expect.poll(() => calls, PATIENTLY).toEqual(['withdraw j1']);
  });
});

describe('answerBy', () => {
  const attempt = { id: 'a1', jobId: 'j1', nodeId: 'n', fence: 1, number: 1 } as unknown as Attempt;
  const trip = () => ({
    ...tripOf({ id: 'j1', containers: ['echo'] }, attempt, Buffer.from('{}'), undefined),
    acknowledged: false,
  });
  const refusal: Refusal = { status: 400, error: 'Container does not generate proof', params: {} };
  const never = new Promise<TripOutcome>(() => undefined);

  it('acknowledges a job that is on its way when the time is up', async () => {
    const journey = trip();
    expect(await answerBy(journey, never, soon())).toBe(ACKNOWLEDGED);
    expect(journey.acknowledged).toBe(true);
  });

  it('gives the refusal when the time is up, though the job could not be taken away yet', async () => {
    const journey = { ...trip(), refusal };
    expect(await answerBy(journey, never, soon())).toEqual({ kind: 'refused', refusal });
    expect(journey.acknowledged).toBe(false);
  });
});
