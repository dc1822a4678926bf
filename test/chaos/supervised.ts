import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Reaper } from './reaper.js';

export interface SupervisedOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Its output is appended here. */
  readonly logFile: string;
  readonly isReady: () => Promise<boolean>;
  readonly reaper: Reaper;
}

/** A process that ended although nobody had asked it to. */
export interface UnexpectedExit {
  readonly name: string;
  readonly at: number;
  /** `running` is a crash; `starting` may only mean that a server it needs was away. */
  readonly while: 'starting' | 'running';
  readonly how: string;
}

const START_LIMIT_MS = 90_000;
const READY_POLL_MS = 50;
/** Pause before a process that ended by itself is started again, as an init system would. */
const REVIVAL_PAUSE_MS = 500;
/** A process asked to stop is killed after this time. */
const STOP_LIMIT_MS = 20_000;

/** A real process that is started, killed, paused and, when it ends by itself, started again. */
export class Supervised {
  readonly unexpectedExits: UnexpectedExit[] = [];
  private child?: ChildProcess;
  private isWanted = false;
  private isReady = false;
  private isPaused = false;

  constructor(private readonly options: SupervisedOptions) {}

  get name(): string {
    return this.options.name;
  }

  /**
   * Starts it and waits until it is ready.
   * @throws Error when it is not within 90 s
   */
  async start(): Promise<void> {
    this.isWanted = true;
    this.isReady = false;
    this.launch();
    const deadline = Date.now() + START_LIMIT_MS;
    while (this.isWanted) {
      if (await this.options.isReady().catch(() => false)) {
        this.isReady = true;
        return;
      }
      if (Date.now() > deadline) {
        throw new Error(`${this.name} is not ready after ${START_LIMIT_MS} ms; see ${this.options.logFile}`);
      }
      await sleep(READY_POLL_MS);
    }
  }

  /** Sends the signal and waits for the end; SIGKILL follows when it takes too long. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<{ tookMs: number; how: string }> {
    this.isWanted = false;
    this.resume();
    const child = this.child;
    const startedAt = Date.now();
    if (child === undefined || isOver(child)) return { tookMs: 0, how: 'it was not running' };
    const exited = once(child, 'exit');
    child.kill(signal);
    const killer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
    await exited;
    clearTimeout(killer);
    return { tookMs: Date.now() - startedAt, how: howOf(child) };
  }

  /** It stands still, its connections open, until {@link resume}. */
  pause(): void {
    this.isPaused = this.child?.kill('SIGSTOP') ?? false;
  }

  resume(): void {
    if (this.isPaused) this.child?.kill('SIGCONT');
    this.isPaused = false;
  }

  private launch(): void {
    const { command, args, env, logFile, reaper } = this.options;
    const log = openSync(logFile, 'a');
    // Detached: Ctrl-C in the terminal must reach this process only, which then stops the others in order.
    const child = spawn(command, [...args], { env: { ...env }, stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    this.child = child;
    const { pid } = child;
    if (pid !== undefined) reaper.watch(pid);
    child.once('error', () => undefined);
    child.once('exit', () => {
      if (pid !== undefined) reaper.forget(pid);
      if (this.isWanted && this.child === child) this.revive(child);
    });
  }

  private revive(child: ChildProcess): void {
    this.unexpectedExits.push({
      name: this.name,
      at: Date.now(),
      while: this.isReady ? 'running' : 'starting',
      how: howOf(child),
    });
    this.isReady = false;
    setTimeout(() => {
      if (!this.isWanted || this.child !== child) return;
      this.launch();
      void this.noteReadiness();
    }, REVIVAL_PAUSE_MS);
  }

  private async noteReadiness(): Promise<void> {
    const child = this.child;
    while (this.isWanted && this.child === child && !this.isReady) {
      this.isReady = await this.options.isReady().catch(() => false);
      await sleep(READY_POLL_MS);
    }
  }
}

function isOver(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
}

function howOf(child: ChildProcess): string {
  return child.signalCode === null ? `exit code ${child.exitCode}` : child.signalCode;
}
