import type { Writable } from 'node:stream';

/** A reader that takes nothing for so long is given up, in ms. */
const PATIENCE_MS = 30_000;

/**
 * One who reads live updates as server-sent events, at its own pace. While it has not taken what was sent, nothing more is
 * buffered for it; what it misses is made good by a snapshot when it reads on. So a reader costs one snapshot and one
 * update at most, however slow it is.
 */
export class LiveReader {
  private behind = false;
  private timer: NodeJS.Timeout | undefined;

  /** @param catchUp asked for the events of a snapshot when the reader has missed updates */
  constructor(
    private readonly output: Writable,
    private readonly catchUp: () => string,
  ) {
    output.on('drain', () => this.drained());
    output.on('close', () => clearTimeout(this.timer));
  }

  /** Hands over events, or leaves them out if the reader is behind. */
  send(events: string): void {
    if (this.output.destroyed || this.output.writableEnded) return;
    if (this.output.writableNeedDrain) {
      this.behind = true;
      this.timer ??= setTimeout(() => this.output.destroy(), PATIENCE_MS);
      return;
    }
    this.output.write(events);
  }

  /** No more events. What was written is still delivered. */
  end(): void {
    clearTimeout(this.timer);
    this.output.end();
  }

  private drained(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (!this.behind) return;
    this.behind = false;
    this.send(this.catchUp());
  }
}

/** One server-sent event. @param id what a reader that comes again names as the last that it got */
export function sseEvent(name: string, data: unknown, id?: string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
