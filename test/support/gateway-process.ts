import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, '../../dist/main.js');

/** A gateway in a process of its own, for tests that kill it or make it stand still. Needs `npm run build`. */
export class GatewayProcess {
  private constructor(
    readonly url: string,
    private readonly child: ChildProcess,
    private readonly written: Buffer[],
  ) {}

  /** All that it has written so far, on both of its outputs. */
  get output(): string {
    return Buffer.concat(this.written).toString();
  }

  /**
   * @param environment its settings; nothing is inherited but PATH
   * @throws Error when it was not built, or ends instead of listening
   */
  static async start(environment: Record<string, string>): Promise<GatewayProcess> {
    if (!existsSync(MAIN)) throw new Error('dist/main.js is missing: run npm run build first');
    const child = spawn(process.execPath, [MAIN], {
      env: {
        PATH: process.env['PATH'] ?? '',
        HOST: '127.0.0.1',
        PORT: '0',
        LOG_LEVEL: 'warn',
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const written: Buffer[] = [];
    child.stderr.on('data', (chunk: Buffer) => written.push(chunk));
    const url = await new Promise<string>((resolve, reject) => {
      child.stdout.on('data', (chunk: Buffer) => {
        written.push(chunk);
        const found = /listens on (http:\S+)\n/.exec(Buffer.concat(written).toString())?.[1];
        if (found !== undefined) resolve(found);
      });
      child.once('exit', (code, signal) => {
        const said = Buffer.concat(written).toString();
        reject(new Error(`the gateway ended with ${code ?? signal} instead of listening: ${said}`));
      });
    });
    return new GatewayProcess(url, child, written);
  }

  /** Asks it to end. */
  signal(signal: 'SIGTERM' | 'SIGINT'): void {
    this.child.kill(signal);
  }

  /** Waits for its end. @returns the exit code, or the signal that ended it */
  async ended(): Promise<number | NodeJS.Signals | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit');
    return this.child.exitCode ?? this.child.signalCode;
  }

  /** As `kill -9` does: nothing is tidied up. Safe twice. */
  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }

  /** It stands still, its connections open, until `wake`. */
  freeze(): void {
    this.child.kill('SIGSTOP');
  }

  wake(): void {
    this.child.kill('SIGCONT');
  }
}
