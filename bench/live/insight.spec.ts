import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Insight, insideArguments, usageBetween } from './insight.js';

/** At each message it allocates about 64 MB of garbage on the heap and says so. */
const PROGRAM = `
let kept;
process.on('message', (message) => {
  if (message !== 'allocate') return;
  for (let n = 0; n < 640; n += 1) kept = Array.from({ length: 12500 }, (_, i) => i + 0.5);
  process.send('allocated');
});
setInterval(() => undefined, 1000);
process.send('ready');
`;

let folder: string;
let child: ChildProcess;
let insight: Insight;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'insight-'));
  const path = join(folder, 'program.mjs');
  await writeFile(path, PROGRAM);
  child = fork(path, { execArgv: insideArguments() });
  await once(child, 'message');
  insight = new Insight(child);
});

afterEach(async () => {
  child.kill();
  await rm(folder, { recursive: true });
});

async function allocate(): Promise<void> {
  const done = once(child, 'message');
  child.send('allocate');
  await done;
}

it('counts what a process uses, garbage included', async () => {
  const before = await insight.look();
  await allocate();
  const after = await insight.look({ collect: true });
  const { allocatedBytes, cpuUs, collections, ms } = usageBetween(before, after);
  expect(allocatedBytes).toBeGreaterThan(60e6);
  expect(allocatedBytes).toBeLessThan(300e6);
  expect(collections).toBeGreaterThan(1);
  expect(cpuUs).toBeGreaterThan(0);
  expect(ms).toBeGreaterThan(0);
  expect(after.heapUsedBytes).toBeLessThan(30e6);
  expect(after.rssBytes).toBeGreaterThan(10e6);
});

it('writes profiles of the processor and of allocations', async () => {
  for (const kind of ['cpu', 'allocations'] as const) {
    const path = join(folder, kind);
    await insight.startProfile(kind);
    await allocate();
    await insight.stopProfile(kind, path);
    expect(await readFile(path, 'utf8')).toContain('program.mjs');
  }
});

it('says so when the process has ended', async () => {
  child.kill('SIGSTOP');
  const looking = insight.look();
  child.kill('SIGKILL');
  await expect(looking).rejects.toThrow('look: the process has ended');
});

it('says why a profile could not be written', async () => {
  await insight.startProfile('cpu');
  await expect(insight.stopProfile('cpu', join(folder, 'no/such/folder'))).rejects.toThrow(
    /stopProfile.*ENOENT/,
  );
});
