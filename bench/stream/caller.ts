import { connect } from 'node:net';

/** One stream as its caller saw it; times in ms from before the connection was made. */
export interface Seen {
  readonly idMs: number;
  readonly firstOutputMs: number;
  /** The last of the output. */
  readonly outputMs: number;
  readonly endMs: number;
  /** Of everything that came. */
  readonly bytes: number;
  /** Whether the final chunk came. */
  readonly clean: boolean;
}

export interface Wish {
  readonly count: number;
  readonly size: number;
  readonly intervalMs: number;
}

const LAST_CHUNK = Buffer.from('0\r\n\r\n');
const FINAL = Buffer.from('\r\n0\r\n\r\n');

/** Asks for a stream on a bare socket, as cheaply as can be, and reads it to its end. */
export function stream(url: string, { count, size, intervalMs }: Wish): Promise<Seen> {
  const { hostname, port } = new URL(url);
  const body = JSON.stringify({ containers: ['pieces'], data: { count, size, interval_ms: intervalMs } });
  const request =
    'POST /api/jobs/stream HTTP/1.1\r\nhost: bench\r\nconnection: close\r\ncontent-type: application/json\r\n' +
    `content-length: ${body.length}\r\n\r\n${body}`;
  return new Promise((resolve) => {
    const startedAt = performance.now();
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    let idMs = Infinity;
    let firstOutputMs = Infinity;
    let outputMs = Infinity;
    let headBytes = 0;
    let bytes = 0;
    let tail = Buffer.alloc(0);
    socket.write(request);
    socket.on('data', (chunk) => {
      const nowMs = performance.now() - startedAt;
      bytes += chunk.length;
      if (idMs === Infinity) {
        // Direct, the id and the output may come in one read; the head's length then tells them apart.
        const end = chunk.indexOf('\n\r\n', chunk.indexOf('\r\n\r\n') + 4) + 3;
        if (end > 3) {
          idMs = nowMs;
          headBytes = end;
        }
      }
      if (firstOutputMs === Infinity && idMs < Infinity && bytes > headBytes + 5) firstOutputMs = nowMs;
      if (!chunk.equals(LAST_CHUNK)) outputMs = nowMs;
      tail = Buffer.concat([tail, chunk]).subarray(-FINAL.length);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      const endMs = performance.now() - startedAt;
      resolve({ idMs, firstOutputMs, outputMs, endMs, bytes, clean: tail.equals(FINAL) });
    });
  });
}

/** `count` callers, each one stream after the other until the time is up; they begin spread over `rampMs`. */
export async function crowd(
  url: string,
  wish: Wish,
  { count, rampMs, untilMs }: { count: number; rampMs: number; untilMs: number },
): Promise<Seen[]> {
  const seen: Seen[] = [];
  const startedAt = performance.now();
  const caller = async (index: number): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, (rampMs * index) / count));
    do seen.push(await stream(url, wish));
    while (performance.now() - startedAt < untilMs);
  };
  await Promise.all(Array.from({ length: count }, (_, index) => caller(index)));
  return seen;
}
