import { describe, expect, it } from 'vitest';
import { Commits } from './commits.js';

/** A transition that fails so often, then says at which turn it came through. */
function failing(error: Error, times: number): () => Promise<string> {
  let turn = 0;
  return () => (turn++ < times ? Promise.reject(error) : Promise.resolve(`turn ${turn}`));
}
const away = (): Error => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

describe('commit', () => {
  it('goes on until the database is back', async () => {
    expect(await new Commits().commit(failing(away(), 2))).toBe('turn 3');
  });

  it('does not repeat what cannot succeed', async () => {
    const broken = failing(new Error('no such column'), 1);
    await expect(new Commits().commit(broken)).rejects.toThrow('no such column');
  });

  it('repeats nothing once it is stopped', async () => {
    const commits = new Commits();
    commits.stop();
    await expect(commits.commit(failing(away(), 1))).rejects.toThrow('ECONNREFUSED');
  });
});
