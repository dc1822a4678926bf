import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { quantile } from '../numbers.js';

/** Requests, over and over, on some connections at once: each sends its next one when it has its answer. */
export interface LoadOptions {
  readonly url: string;
  readonly method?: 'GET' | 'POST';
  /** With its query; of several each request takes the next. */
  readonly path: string | readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON; none for a GET. */
  readonly body?: string;
  readonly connections: number;
  /** How long new requests are sent. */
  readonly ms: number;
}

export interface LoadReport {
  readonly answered: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/**
 * Loads a server from bare sockets, as cheaply as can be: it shares the machine with what it measures.
 * @throws Error when an answer is not 200, or has no content-length, or a connection breaks
 */
export async function load(options: LoadOptions): Promise<LoadReport> {
  const { url, connections, ms } = options;
  const { hostname, port } = new URL(url);
  const requests = [options.path].flat().map((path) => requestBytes(path, options));
  let turn = 0;
  const next = (): Buffer => requests[turn++ % requests.length] as Buffer;
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect({ host: hostname, port: Number(port), noDelay: true });
      await once(socket, 'connect');
      return socket;
    }),
  );
  const tookMs: number[] = [];
  const startedAt = performance.now();
  try {
    await Promise.all(sockets.map((socket) => repeat(socket, next, startedAt + ms, tookMs)));
  } finally {
    for (const socket of sockets) socket.destroy();
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  return {
    answered: tookMs.length,
    perSecond: tookMs.length / seconds,
    p50Ms: quantile(tookMs, 0.5),
    p99Ms: quantile(tookMs, 0.99),
  };
}

function requestBytes(path: string, { url, method = 'POST', headers = {}, body }: LoadOptions): Buffer {
  const head = [`${method} ${path} HTTP/1.1`, `host: ${new URL(url).host}`];
  for (const [name, value] of Object.entries(headers)) head.push(`${name}: ${value}`);
  if (body !== undefined) {
    head.push('content-type: application/json', `content-length: ${Buffer.byteLength(body)}`);
  }
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body ?? ''}`);
}

/** Resolves with the answer to the last request that was sent before `until`. */
function repeat(socket: Socket, next: () => Buffer, until: number, tookMs: number[]): Promise<void> {
  return new Promise((resolve, reject) => {
    let sentAt = performance.now();
    let bytes = 0;
    let expected = 0;
    socket.on('data', (chunk) => {
      // A head comes in one piece from all that is measured here.
      if (bytes === 0) {
        expected = answerBytes(chunk);
        if (Number.isNaN(expected))
          return reject(new Error(`the answer was ${chunk.toString().slice(0, 500)}`));
      }
      bytes += chunk.length;
      if (bytes < expected) return;
      const now = performance.now();
      tookMs.push(now - sentAt);
      if (now >= until) return resolve();
      bytes = 0;
      sentAt = now;
      socket.write(next());
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the connection was closed')));
    socket.write(next());
  });
}

/** How long an answer is, its head included; NaN for what cannot be counted. */
function answerBytes(chunk: Buffer): number {
  const end = chunk.indexOf('\r\n\r\n');
  const head = chunk.toString('latin1', 0, end);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  return end > 0 && head.startsWith('HTTP/1.1 200') && length !== undefined ? end + 4 + Number(length) : NaN;
}
