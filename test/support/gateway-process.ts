import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const MAIN = join(import.meta.dirname, '../../dist/main.js');

/** A gateway in a process of its own, for tests that kill it or make it stand still. Needs `npm run build`. */
export class GatewayProcess {
  private constructor(
    readonly url: string,
    private readonly child: ChildProcess,
  ) {}

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
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    for await (const line of lines) {
      const url = /listens on (http:\S+)/.exec(line)?.[1];
      if (url === undefined) continue;
      // What it writes from now on is of no interest, but must not fill the pipe.
      child.stdout?.resume();
      return new GatewayProcess(url, child);
    }
    throw new Error(`the gateway ended with ${child.exitCode ?? child.signalCode} instead of listening`);
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
