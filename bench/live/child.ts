import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Insight, insideArguments } from './insight.js';

const ROOT = join(import.meta.dirname, '../..');
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 20_000;

/** A program of this project in a process of its own. */
export class Child {
  /** The view into the process. */
  readonly insight: Insight;

  private constructor(
    private readonly child: ChildProcess,
    /** What its lines of the awaited form named. */
    readonly allSaid: readonly string[],
  ) {
    this.insight = new Insight(child);
  }

  /** What the first of those lines named. */
  get said(): string {
    return this.allSaid[0] ?? '';
  }

  /**
   * @param program file from the project's folder: `dist/….js` as it was built, or a benchmark's own `bench/….ts`
   * @param announces a line of its output that tells that it is ready; the first group is kept as `said`
   * @param lines how many such lines there have to be
   * @throws Error when it was not built, ends, or says nothing of that form in a minute
   */
  static async start(
    program: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>>,
    announces: RegExp,
    lines = 1,
  ): Promise<Child> {
    const path = join(ROOT, program);
    if (!existsSync(path)) throw new Error(`${program} is missing: run npm run build first`);
    const loader = program.endsWith('.ts') ? ['--import', 'tsx'] : [];
    const child = spawn(process.execPath, [...loader, ...insideArguments(), path, ...args], {
      cwd: ROOT,
      env: { PATH: process.env['PATH'] ?? '', ...environment },
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    try {
      return new Child(child, await announcements(child, program, announces, lines));
    } catch (error) {
      await end(child);
      throw error;
    }
  }

  /** Processor time that it has used so far, in s; NaN where the system does not tell. */
  processorSeconds(): number {
    try {
      // After the name, which may hold anything but is in brackets: state is field 3, utime 14, stime 15, in ticks of 10 ms.
      const fields =
        readFileSync(`/proc/${this.child.pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
      return (Number(fields[11]) + Number(fields[12])) / 100;
    } catch {
      return NaN;
    }
  }

  /** Ends it as operators do; kills it when that takes too long. Safe twice. */
  async stop(): Promise<void> {
    await end(this.child);
  }
}

async function announcements(
  child: ChildProcess,
  program: string,
  announces: RegExp,
  count: number,
): Promise<string[]> {
  const all: string[] = [];
  const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> });
  return new Promise((resolve, reject) => {
    const fail = (problem: string): void => reject(new Error(`${program} ${problem}`));
    const timer = setTimeout(() => fail(`says nothing after ${START_LIMIT_MS} ms`), START_LIMIT_MS);
    child.once('error', reject);
    child.once('exit', (code) => {
      clearTimeout(timer);
      fail(`ended with ${code} before it was ready`);
    });
    lines.on('line', (line) => {
      // Log entries are warnings, which are worth reading.
      if (line.startsWith('{')) process.stderr.write(`${line}\n`);
      const said = announces.exec(line)?.[1];
      if (said === undefined || all.push(said) < count) return;
      clearTimeout(timer);
      resolve(all);
    });
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const isLate = await Promise.race([exited.then(() => false), sleep(STOP_LIMIT_MS, true, { ref: false })]);
  if (!isLate) return;
  child.kill('SIGKILL');
  await exited;
}
