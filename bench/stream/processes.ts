import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = join(import.meta.dirname, '../..');

/** A child process that says where it listens. */
export class Server {
  private constructor(
    readonly url: string,
    private readonly child: ChildProcess,
  ) {}

  static async start(args: readonly string[], environment: Record<string, string> = {}): Promise<Server> {
    const child = spawn(process.execPath, args, {
      cwd: ROOT,
      env: { PATH: process.env['PATH'] ?? '', ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      const url = /http:\/\/\S+/.exec(line)?.[0];
      if (url === undefined) continue;
      child.stdout?.resume();
      return new Server(url, child);
    }
    throw new Error(
      `${args.join(' ')} ended with ${child.exitCode ?? child.signalCode} instead of listening`,
    );
  }

  /** Resident memory, in MB. */
  async rssMb(): Promise<number> {
    const status = await readFile(`/proc/${this.child.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1_024;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await exited;
  }
}

/** A node, a gateway in front of it and a bare pipe in front of it, each a process of its own. */
export interface Installation {
  readonly node: Server;
  readonly gateway: Server;
  readonly pipe: Server;
  stop(): Promise<void>;
}

/** @param folder where the database goes: its disk's fsync is part of what is measured */
export async function install(folder = tmpdir()): Promise<Installation> {
  const dataDir = await mkdtemp(join(folder, 'infernet-gateway-bench-'));
  const node = await Server.start(['dist/emulator/main.js', '--port', '0', '--rate-limit', 'off']);
  const pipe = await Server.start(['--import', 'tsx', 'bench/stream/pipe.ts', node.url]);
  const gateway = await Server.start(['dist/main.js'], {
    HOST: '127.0.0.1',
    PORT: '0',
    LOG_LEVEL: 'warn',
    DATA_DIR: dataDir,
    NODES: node.url,
  });
  return {
    node,
    gateway,
    pipe,
    stop: async () => {
      await gateway.stop();
      await Promise.all([node.stop(), pipe.stop()]);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
