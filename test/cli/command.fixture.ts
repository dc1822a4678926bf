import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { join } from 'node:path';

/** The command as it is installed. Needs `npm run build`. */
export const COMMAND = join(import.meta.dirname, '../../dist/cli/main.js');

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

type Environment = Readonly<Record<string, string>>;

/** Runs the command to its end. Of the environment it inherits only PATH. */
export async function run(args: readonly string[], environment: Environment = {}): Promise<Outcome> {
  const child = start(args, environment);
  const texts = Promise.all([textOf(child.stdout), textOf(child.stderr)]);
  const [code] = (await once(child, 'close')) as [number | null];
  const [out, err] = await texts;
  return { code, out, err };
}

/** Runs the command on a terminal of its own, so many columns wide; its errors are part of `out`. */
export async function runOnTerminal(
  args: readonly string[],
  columns: number,
  environment: Environment = {},
): Promise<Outcome> {
  const line = [process.execPath, COMMAND, ...args].map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['-qec', `stty cols ${columns}; ${line}`, '/dev/null'], {
    env: { PATH: process.env['PATH'] ?? '', TERM: 'xterm', SHELL: '/bin/sh', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = Promise.all([textOf(child.stdout), textOf(child.stderr)]);
  const [code] = (await once(child, 'close')) as [number | null];
  const [out, err] = await texts;
  return { code, out: out.replaceAll('\r\n', '\n'), err };
}

/** A gateway that `infernet-gateway start` runs. */
export class StartedGateway {
  private constructor(
    readonly url: string,
    /** What it said until it listened, and the line that names a new token. */
    readonly lines: readonly string[],
    private readonly child: ChildProcess,
  ) {}

  static async start(args: readonly string[], environment: Environment): Promise<StartedGateway> {
    const child = start(['start', ...args], environment);
    child.stderr?.pipe(process.stderr);
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      lines.push(line);
      const url = /listens on (http:\S+)/.exec(line)?.[1];
      if (url === undefined) continue;
      child.stdout?.resume();
      return new StartedGateway(url, lines, child);
    }
    throw new Error(`it ended with ${child.exitCode ?? child.signalCode} instead of listening`);
  }

  /** As Ctrl-C does. @returns its exit code */
  async stop(): Promise<number | null> {
    if (this.child.exitCode !== null) return this.child.exitCode;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGINT');
    return ((await exited) as [number | null])[0];
  }
}

function start(args: readonly string[], environment: Environment): ChildProcess {
  return spawn(process.execPath, [COMMAND, ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function textOf(stream: NodeJS.ReadableStream | null): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream ?? []) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}
