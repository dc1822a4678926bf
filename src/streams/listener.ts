import type { ServerResponse } from 'node:http';
import { performance } from 'node:perf_hooks';
import { setImmediate as immediately, setTimeout as sleep } from 'node:timers/promises';

/** Why nobody listens any more. */
export type Loss = 'gone' | 'slow';

/**
 * After the id line nothing follows for this long, in ms: the official client takes what its first read gives for the
 * job's id (docs/protocol.md §2).
 */
const AFTER_ID_MS = 5;
/** So many bytes may wait for a caller before no more is read from the node. */
export const MOST_WAITING_BYTES = 1_048_576;
/** How long a cut waits for what is on its way to the caller, in ms. */
const LAST_BYTES_MS = 1_000;

/**
 * The caller's end of a stream. Nothing is sent before `begin`; then the node's bytes go out as they come, and whoever
 * awaits `write` reads from the node no faster than the caller reads from here. A caller who takes nothing for long while
 * much waits is as good as gone.
 */
export class Listener {
  begun = false;
  /** How long the caller kept the stream waiting, in ms. */
  heldUpMs = 0;
  /** While nothing may follow the id line. */
  private apart: Promise<void> | undefined;
  private isWaiting = false;
  private isSlow = false;
  private ended = false;
  private release = (): void => undefined;
  private readonly released = new Promise<void>((resolve) => (this.release = resolve));

  /**
   * @param stallMs a caller for whom bytes wait may take none for so long
   * @param onLoss called once when the caller has gone away or is too slow, unless the stream has ended
   */
  constructor(
    private readonly response: ServerResponse,
    private readonly stallMs: number,
    private readonly onLoss: (loss: Loss) => void,
  ) {
    response.on('close', () => {
      if (!this.ended) this.onLoss('gone');
      this.ended = true;
    });
    // The socket counts as active while the kernel takes bytes of a pending write.
    response.setTimeout(stallMs, () => {
      if (!this.isWaiting) return void response.setTimeout(stallMs);
      this.isSlow = true;
      this.onLoss('slow');
    });
  }

  /** Status, headers and the id line leave together and alone: one chunk, one write. */
  begin(jobId: string, contentType: string): void {
    this.begun = true;
    this.response.writeHead(200, {
      'content-type': contentType,
      'cache-control': 'no-store',
      // Asks a proxy in front not to gather what should go out at once.
      'x-accel-buffering': 'no',
    });
    this.apart = new Promise((resolve) => {
      // Counted from when it has left: on a busy machine that is later than when it was written here.
      this.response.write(`${jobId}\n`, () => void this.keepApart().then(resolve));
      this.response.once('close', () => {
        this.apart = undefined;
        resolve();
      });
    });
  }

  /** Passes bytes on. @returns undefined, or what resolves when the caller may be sent more, or has been lost */
  write(bytes: Buffer): Promise<void> | undefined {
    if (this.apart !== undefined) return this.apart.then(() => this.write(bytes));
    const { response } = this;
    if (this.ended || response.write(bytes) || response.writableLength < MOST_WAITING_BYTES) return undefined;
    return this.drained();
  }

  private async drained(): Promise<void> {
    const sinceMs = performance.now();
    this.isWaiting = true;
    await Promise.race([this.until('drain'), this.released]);
    this.isWaiting = false;
    this.heldUpMs += performance.now() - sinceMs;
  }

  /** The stream is over for reasons of its own: whoever awaits `write` need not wait for the caller. */
  letGo(): void {
    this.release();
  }

  /** The clean end: the final chunk. Resolves when it was sent, or the caller has been lost. */
  async end(): Promise<void> {
    await this.apart;
    if (this.ended) return;
    this.ended = true;
    const { response } = this;
    this.isWaiting = true;
    response.setTimeout(this.stallMs, () => response.destroy());
    response.end();
    if (!response.writableFinished) await this.until('finish');
  }

  /** The connection ends without the final chunk, once what was passed on has left; a lost caller is not waited for. */
  async cut(): Promise<void> {
    await this.apart;
    if (this.ended) return;
    this.ended = true;
    const { response } = this;
    if (response.writableLength > 0 && !this.isSlow) {
      await Promise.race([this.until('drain'), sleep(LAST_BYTES_MS, undefined, { ref: false })]);
    }
    response.destroy();
  }

  private async keepApart(): Promise<void> {
    const untilMs = performance.now() + AFTER_ID_MS;
    await sleep(AFTER_ID_MS);
    // A timer may be early by nearly a ms.
    while (performance.now() < untilMs && !this.ended) await immediately();
    this.apart = undefined;
  }

  private async until(event: 'drain' | 'finish'): Promise<void> {
    const { response } = this;
    if (response.destroyed) return;
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        response.off(event, settle);
        response.off('close', settle);
        resolve();
      };
      response.on(event, settle);
      response.on('close', settle);
    });
  }
}
