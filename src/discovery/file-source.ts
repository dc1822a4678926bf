import { readFile, stat } from 'node:fs/promises';
import { Logger } from '@nestjs/common';
import { messageOf } from '../errors.js';
import { readNodesFile } from './node-list.js';
import type { NodeSource } from './node-source.js';

/** How often the file is looked at, in ms. Its state is compared, which also works on network file systems. */
const INTERVAL_MS = 1_000;

/**
 * A file of nodes that is watched for changes. It is read when it looks the same at two looks, so that one that is
 * being written is not taken for whole. A file that is missing or unusable changes nothing.
 */
export class FileSource implements NodeSource {
  readonly name = 'file';
  private readonly log = new Logger(FileSource.name);
  private timer: NodeJS.Timeout | undefined;
  private stopped = true;
  private list: readonly string[] | undefined;
  private seen = '';
  private read = '';

  /** @param onChanged told when the list has changed */
  constructor(
    private readonly path: string,
    private readonly onChanged: () => void,
  ) {}

  get urls(): readonly string[] | undefined {
    return this.list;
  }

  /** Reads the file as it is, then watches it. */
  async start(): Promise<void> {
    this.stopped = false;
    this.seen = await this.state();
    await this.runOnce();
    this.schedule();
  }

  /** Safe when never started, safe twice. */
  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  /** One look at the file; never throws. */
  async runOnce(): Promise<void> {
    const state = await this.state();
    const isSettled = state === this.seen;
    this.seen = state;
    if (!isSettled || state === this.read) return;
    this.read = state;
    try {
      this.list = readNodesFile(await readFile(this.path, 'utf8'));
      this.log.log(`${this.path} lists ${this.list.length} nodes`);
      this.onChanged();
    } catch (error) {
      this.log.warn(`${this.path} cannot be used, the last list stays: ${messageOf(error)}`);
    }
  }

  private async state(): Promise<string> {
    try {
      const { mtimeMs, size, ino } = await stat(this.path);
      return `${mtimeMs} ${size} ${ino}`;
    } catch {
      return 'missing';
    }
  }

  private schedule(): void {
    this.timer = setTimeout(() => {
      void this.runOnce().finally(() => {
        if (!this.stopped) this.schedule();
      });
    }, INTERVAL_MS);
  }
}
