import type { ServerResponse } from 'node:http';

/**
 * The requests that are being answered. Once `closing`, answers also end their connections, so that a stop does not
 * wait for idle ones.
 */
export class OpenRequests {
  private closed = false;
  private open = 0;
  private readonly waiting: (() => void)[] = [];

  get closing(): boolean {
    return this.closed;
  }

  get count(): number {
    return this.open;
  }

  /** Counts a request until its response is sent whole or its connection breaks. */
  add(response: ServerResponse): void {
    this.open += 1;
    response.once('close', () => {
      this.open -= 1;
      if (this.open === 0) for (const resolve of this.waiting.splice(0)) resolve();
    });
  }

  close(): void {
    this.closed = true;
  }

  /** Resolves when none is open. */
  async idle(): Promise<void> {
    if (this.open > 0) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }
}
