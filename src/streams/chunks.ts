import type { Readable } from 'node:stream';

/**
 * Gives the bytes of `body` to `take` as they come, and none while what it returned is pending. In flowing mode: iterating
 * would join what has come into one buffer each time, a copy of every byte. Resolves at the end of the body.
 * @throws what breaks the body off, or `take` throws; the body is destroyed then, as it may be already
 */
export async function eachChunk(
  body: Readable,
  take: (chunk: Buffer) => Promise<void> | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      reject(error as Error);
      body.destroy();
    };
    if (body.destroyed) return fail(body.errored ?? new Error('the connection was closed'));
    body.on('error', fail);
    body.on('end', resolve);
    body.on('close', () => reject(new Error('the connection was closed')));
    body.on('data', (chunk: Buffer) => {
      try {
        const pending = take(chunk);
        if (pending === undefined) return;
        body.pause();
        pending.then(() => body.resume(), fail);
      } catch (error) {
        fail(error);
      }
    });
  });
}
