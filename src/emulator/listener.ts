import { createServer, type Server, type ServerResponse, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** Called for every request; `nth` counts the requests of its connection, from 1. */
export type RequestListener = (request: IncomingMessage, response: ServerResponse, nth: number) => void;

/** The reference node closes a connection that has been idle for so long. */
const IDLE_CLOSE_MS = 5_000;

/**
 * The node's port and its connections. It can stop listening and start again on the same port, and end
 * connections in the ways that a dying process does.
 */
export class Listener {
  #server: Server | undefined;
  #port = 0;
  readonly #requestsBySocket = new Map<Socket, number>();

  constructor(
    readonly host: string,
    readonly onRequest: RequestListener,
  ) {}

  get port(): number {
    return this.#port;
  }

  get isOpen(): boolean {
    return this.#server !== undefined;
  }

  /**
   * Listens; without effect when it does already.
   * @param port 0 for a free one; left out, the port of the last time
   */
  async open(port = this.#port): Promise<void> {
    if (this.#server !== undefined) return;
    const server = createServer({ keepAlive: false, noDelay: true }, (request, response) => {
      const nth = (this.#requestsBySocket.get(request.socket) ?? 0) + 1;
      this.#requestsBySocket.set(request.socket, nth);
      this.onRequest(request, response, nth);
    });
    server.keepAliveTimeout = IDLE_CLOSE_MS;
    // Newer Node versions wait a second longer than told, unless this is 0; version 20 does not know it.
    Object.assign(server, { keepAliveTimeoutBuffer: 0 });
    server.requestTimeout = 0;
    server.headersTimeout = 0;
    server.on('connection', (socket) => {
      this.#requestsBySocket.set(socket, 0);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.#requestsBySocket.delete(socket));
    });
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => {
        this.#server = undefined;
        reject(error);
      });
      server.listen(port, this.host, resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Stops listening and closes idle connections; requests in progress go on. */
  close(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  /** Ends all connections: with a reset, or as the kernel does for a process that exits. */
  destroyConnections(end: 'reset' | 'close'): void {
    for (const socket of this.#requestsBySocket.keys()) {
      if (end === 'reset') socket.resetAndDestroy();
      else socket.destroy();
    }
  }
}
