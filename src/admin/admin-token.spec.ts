import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AdminToken } from './admin-token.js';

let directory: string;
beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), 'admin-token-'))));
afterEach(() => rm(directory, { recursive: true, force: true }));

it('is made once, kept for its owner alone, and found again', async () => {
  const dataDir = join(directory, 'new', 'folder');
  const first = await AdminToken.load(undefined, dataDir);
  expect(first.isNew).toBe(true);
  expect(first.token.value.length).toBeGreaterThanOrEqual(32);
  const file = join(dataDir, 'admin-token');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect((await readFile(file, 'utf8')).trim()).toBe(first.token.value);
  const second = await AdminToken.load(undefined, dataDir);
  expect([second.isNew, second.token.value]).toEqual([false, first.token.value]);
});

it('that is configured goes before the one in the file, and is not stored', async () => {
  await writeFile(join(directory, 'admin-token'), 'stored\n');
  const { token, isNew } = await AdminToken.load('configured', directory);
  expect([token.value, isNew]).toEqual(['configured', false]);
  expect(await readFile(join(directory, 'admin-token'), 'utf8')).toBe('stored\n');
});

it('is made anew in place of an empty file', async () => {
  await writeFile(join(directory, 'admin-token'), '\n', { mode: 0o644 });
  expect((await AdminToken.load(undefined, directory)).isNew).toBe(true);
  expect((await stat(join(directory, 'admin-token'))).mode & 0o777).toBe(0o600);
});

it('matches itself only', () => {
  const token = new AdminToken('secret');
  expect(token.matches('secret')).toBe(true);
  for (const other of ['', 'secre', 'secrets', 'Secret', 'ſecret']) expect(token.matches(other)).toBe(false);
});
