import { Logger } from '@nestjs/common';
import { messageOf } from '../errors.js';
import { readExplorerAnswer, UnusableList } from './node-list.js';
import type { NodeSource } from './node-source.js';

export interface ExplorerOptions {
  /** Where the explorer is; `/api/nodes` is added. */
  readonly url: string;
  /** Between two questions, in ms. */
  readonly intervalMs: number;
}

/** Nodes that were seen in the last so many minutes are asked for, as the reference router does. */
const MINUTES_PAST = 60;
const TIMEOUT_MS = 10_000;
const MOST_ANSWER_BYTES = 16_777_216;

/** A Node Explorer that is asked now and then. One that is down or answers rubbish changes nothing. */
export class ExplorerSource implements NodeSource {
  readonly name = 'explorer';
  private readonly log = new Logger(ExplorerSource.name);
  private timer: NodeJS.Timeout | undefined;
  private stopped = true;
  private list: readonly string[] | undefined;

  /** @param onChanged told after every answer that could be used */
  constructor(
    private readonly options: ExplorerOptions,
    private readonly onChanged: () => void,
  ) {}

  get urls(): readonly string[] | undefined {
    return this.list;
  }

  /** Asks from now on; nobody has to wait for the first answer. */
  async start(): Promise<void> {
    this.stopped = false;
    this.schedule(0);
    await Promise.resolve();
  }

  /** Safe when never started, safe twice. */
  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  /** One question; never throws. */
  async runOnce(): Promise<void> {
    const url = `${this.options.url.replace(/\/+$/, '')}/api/nodes?minutes_past=${MINUTES_PAST}`;
    try {
      const { urls, leftOut } = readExplorerAnswer(await textAt(url));
      if (leftOut > 0) this.log.warn(`${leftOut} entries of the node explorer are no nodes`);
      this.list = urls;
      this.onChanged();
    } catch (error) {
      this.log.warn(`The node explorer is of no use, its last list stays: ${messageOf(error)}`);
    }
  }

  private schedule(delayMs: number): void {
    this.timer = setTimeout(() => {
      void this.runOnce().finally(() => {
        if (!this.stopped) this.schedule(this.options.intervalMs * (0.9 + Math.random() * 0.2));
      });
    }, delayMs);
  }
}

/** @throws Error unless the answer is a 200 of bounded size */
async function textAt(url: string): Promise<string> {
  const reply = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (reply.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > MOST_ANSWER_BYTES) throw new UnusableList(`more than ${MOST_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  if (reply.status !== 200) throw new UnusableList(`status ${reply.status}`);
  return Buffer.concat(chunks).toString();
}
