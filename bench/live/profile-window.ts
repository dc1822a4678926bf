import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { functionTimes, readCpuProfile, type FunctionTime } from './profile.js';
import { measure, type Side, type WindowOptions } from './windows.js';

const SHOWN = 40;

/** Loads a side once more while its processor time and then its allocations are sampled, and says where they go. */
export async function profileWindow(side: Side, options: WindowOptions, folder: string): Promise<void> {
  const { insight } = side;
  if (insight === undefined) throw new Error(`${side.name} cannot be looked into`);
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${side.name}.cpuprofile`);
  await insight.startProfile('cpu');
  const { perSecond } = await measure(side, options);
  await insight.stopProfile('cpu', path);
  const jobs = (perSecond * options.ms) / 1_000;
  const times = functionTimes(await readCpuProfile(path));
  show('Self time', times, jobs, ({ selfUs }) => selfUs);
  show('Time with what is called', times, jobs, ({ totalUs }) => totalUs);
  await insight.startProfile('allocations');
  await measure(side, options);
  await insight.stopProfile('allocations', join(folder, `${side.name}.heapprofile`));
  console.log(`\nProfiles are in ${folder}`);
}

function show(
  title: string,
  times: readonly FunctionTime[],
  jobs: number,
  of: (time: FunctionTime) => number,
): void {
  console.log(`\n${title}, µs for each job:`);
  const sorted = [...times].sort((a, b) => of(b) - of(a));
  for (const time of sorted.slice(0, SHOWN)) {
    console.log(`${(of(time) / jobs).toFixed(1).padStart(8)}  ${time.name}`);
  }
}
