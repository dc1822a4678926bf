import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A caller of `POST /api/jobs/stream` on a bare socket: it sees reads, chunks and ends as they are. */
export class StreamCaller {
  /** What each read of the socket gave, and when (`performance.now()`). */
  readonly reads: { readonly bytes: Buffer; readonly atMs: number }[] = [];
  /** Resolves with whether the connection ended after the final chunk. */
  readonly ended: Promise<boolean>;
  private readonly socket: Socket;

  private constructor(url: string, body: string, headers: Record<string, string>) {
    const { hostname, port } = new URL(url);
    this.socket = connect({ host: hostname.replace(/[[\]]/g, ''), port: Number(port), noDelay: true });
    this.socket.on('data', (bytes) => this.reads.push({ bytes, atMs: performance.now() }));
    this.socket.on('error', () => undefined);
    const all = { host: 'gateway', connection: 'close', 'content-type': 'application/json', ...headers };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    this.socket.write(
      `POST /api/jobs/stream HTTP/1.1\r\n${lines.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    this.ended = once(this.socket, 'close').then(() => this.text.endsWith('\r\n0\r\n\r\n'));
  }

  static start(
    url: string,
    containers: readonly string[],
    data: object,
    headers: Record<string, string> = {},
  ): StreamCaller {
    return new StreamCaller(url, JSON.stringify({ containers, data }), headers);
  }

  /** Everything that came, as it came. */
  get text(): string {
    return Buffer.concat(this.reads.map(({ bytes }) => bytes)).toString('latin1');
  }

  get status(): number {
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(this.text)?.[1] ?? 0);
  }

  /** The head's value of a header; undefined without it. */
  header(name: string): string | undefined {
    return new RegExp(`^${name}: (.*)\\r$`, 'im').exec(this.text.split('\r\n\r\n')[0] ?? '')?.[1];
  }

  /** The bodies of the chunks that have come whole. */
  get chunks(): string[] {
    const { text } = this;
    const chunks: string[] = [];
    let at = text.indexOf('\r\n\r\n') + 4;
    for (;;) {
      const lineEnd = text.indexOf('\r\n', at);
      const size = Number.parseInt(text.slice(at, lineEnd), 16);
      if (lineEnd < 0 || !(size > 0) || text.length < lineEnd + 2 + size + 2) return chunks;
      chunks.push(text.slice(lineEnd + 2, lineEnd + 2 + size));
      at = lineEnd + 2 + size + 2;
    }
  }

  /** The job's id, from the first chunk. */
  get id(): string {
    return (this.chunks[0] ?? '').trimEnd();
  }

  /** What came after the id. */
  get output(): string {
    return this.chunks.slice(1).join('');
  }

  /** Reads no more; the connection stays. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Goes away. */
  leave(): void {
    this.socket.destroy();
  }

  /** Resolves with the next read. */
  async nextRead(): Promise<void> {
    await once(this.socket, 'data');
  }
}
