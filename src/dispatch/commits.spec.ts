import { beforeEach, describe, expect, it } from 'vitest';
import type { AttemptStore, NewJob } from './attempt-store.js';
import { Commits } from './commits.js';

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
let commits: Commits;
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
  commits = new Commits({
    admit: () => admission,
    withdraw: (id) => {
      calls.push(`withdraw ${id}`);
      return isAway ? Promise.reject(away()) : Promise.resolve();
    },
  } satisfies Pick<AttemptStore, 'admit' | 'withdraw'> as unknown as AttemptStore);
});

const soon = (): number => Date.now() + 50;
const later = (): number => Date.now() + 60_000;

describe('admit', () => {
  it.each([true, false])('says what the store says: %s', async (sent) => {
    settle(sent);
    expect(await commits.admit(JOB, undefined, later())).toBe(sent);
    expect(calls).toEqual([]);
  });

  it('that fails is taken away again, as soon as the database is back', async () => {
    isAway = true;
    admission = Promise.reject(away());
    await expect(commits.admit(JOB, undefined, later())).rejects.toThrow('ECONNREFUSED');
    await expect.poll(() => calls.length, PATIENTLY).toBe(1);
    isAway = false;
    await expect.poll(() => calls, PATIENTLY).toEqual(['withdraw j1', 'withdraw j1']);
  });

  it('that is late is refused in time, and taken away once it is there', async () => {
    await expect(commits.admit(JOB, undefined, soon())).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
    });
    expect(calls).toEqual([]);
    settle(true);
    await expect.poll(() => calls, PATIENTLY).toEqual(['withdraw j1']);
  });
});

describe('commit', () => {
  const failing = (error: Error, times: number): (() => Promise<string>) => {
    let turn = 0;
    return () => (turn++ < times ? Promise.reject(error) : Promise.resolve(`turn ${turn}`));
  };

  it('goes on until the database is back', async () => {
    expect(await commits.commit(failing(away(), 2))).toBe('turn 3');
  });

  it('does not repeat what cannot succeed', async () => {
    await expect(commits.commit(failing(new Error('no such column'), 1))).rejects.toThrow('no such column');
  });

  it('repeats nothing once it is stopped', async () => {
    commits.stop();
    await expect(commits.commit(failing(away(), 1))).rejects.toThrow('ECONNREFUSED');
  });
});
