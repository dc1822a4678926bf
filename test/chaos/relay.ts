import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Random } from './random.js';

/** What the relay does to connections; `pass` is none of it. */
export type LinkFault = 'pass' | 'drop-response' | 'reset' | 'delay' | 'black-hole' | 'refuse';

/** A job seen on its way to a node: the id it bears there, the key of its payload, when it passed first. */
export interface Sighting {
  readonly nodeJobId: string;
  readonly key: string;
  readonly at: number;
}

/** Share of the submissions whose answer is dropped, and of the requests that are reset, while that lasts. */
const STRIKE_CHANCE = 0.5;

/** How a job begins on the wire: the node-side id, the containers, and the payload whose first member is its key. */
const JOB = /"id":"([^"]+)","containers":\[[^\]]*\],"data":\{"key":"([^"]+)"/g;

/** Longer than any head of a job, so that one cut in two by chunks is found in the next chunk. */
const TAIL_CHARS = 512;

interface Link {
  readonly gateway: Socket;
  readonly node: Socket;
  /** The request under way submits a job. */
  isSubmission: boolean;
  /** Nothing passes any more, in either direction, until one side gives up. */
  isDead: boolean;
  tail: string;
}

/**
 * A TCP relay in front of one node, and the place where the network between gateway and node fails. It also keeps
 * the list of jobs that went through, which is how an execution is traced back to the job it was for.
 */
export class Relay {
  /** Jobs by node-side id. */
  readonly sightings = new Map<string, Sighting>();
  /** How often each fault struck a connection. */
  readonly strikes = new Map<LinkFault, number>();
  private server?: Server;
  private readonly links = new Set<Link>();
  private fault: LinkFault = 'pass';
  private delayMs = 0;
  private isNodeUp = true;

  /** @param port of the relay; it stays the same while listening stops and starts */
  constructor(
    readonly port: number,
    private readonly nodePort: number,
    private readonly random: Random,
  ) {}

  /** Sets the fault for connections and requests from now on; `pass` ends it. */
  async set(fault: LinkFault, delayMs = 0): Promise<void> {
    this.fault = fault;
    this.delayMs = delayMs;
    await this.listenOrNot();
  }

  /** A node that is down refuses connections, so its relay does too. */
  async setNodeUp(isUp: boolean): Promise<void> {
    this.isNodeUp = isUp;
    await this.listenOrNot();
  }

  async close(): Promise<void> {
    this.isNodeUp = false;
    await this.listenOrNot();
  }

  private async listenOrNot(): Promise<void> {
    const shallListen = this.isNodeUp && this.fault !== 'refuse';
    if (shallListen && this.server === undefined) {
      // Half-open, because a side that has sent its last byte still waits for the answer.
      const server = createServer({ allowHalfOpen: true }, (socket) => this.accept(socket));
      this.server = server;
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen(this.port, '127.0.0.1', resolve);
      });
    } else if (!shallListen && this.server !== undefined) {
      this.server.close();
      this.server = undefined;
      for (const link of this.links) this.cut(link);
    }
  }

  private accept(gateway: Socket): void {
    const node = connect({ port: this.nodePort, host: '127.0.0.1', allowHalfOpen: true });
    const isDead = this.fault === 'black-hole';
    const link: Link = { gateway, node, isSubmission: false, isDead, tail: '' };
    if (isDead) this.count('black-hole');
    this.links.add(link);
    gateway.setNoDelay(true).on('error', () => this.cut(link));
    node.setNoDelay(true).on('error', () => this.cut(link));
    gateway.on('data', (chunk) => this.toNode(link, chunk));
    node.on('data', (chunk) => this.toGateway(link, chunk));
    gateway.on('end', () => (link.isDead ? this.cut(link) : node.end()));
    node.on('end', () => !link.isDead && this.afterDelay(() => gateway.end()));
    gateway.on('close', () => this.cut(link));
    // After an orderly end the last bytes may still be on their way to the gateway.
    node.on('close', () => !link.isDead && !node.readableEnded && this.cut(link));
  }

  private toNode(link: Link, chunk: Buffer): void {
    const text = chunk.toString('latin1');
    const isHead = /^(?:GET|POST|PUT) \//.test(text);
    if (isHead) link.isSubmission = text.startsWith('POST /api/jobs');
    if (this.fault === 'black-hole' && !link.isDead) {
      link.isDead = true;
      this.count('black-hole');
    }
    if (link.isDead) return;
    if (this.fault === 'reset' && isHead && this.random.chance(STRIKE_CHANCE)) {
      this.count('reset');
      // Half of them before anything reached the node, the others when all of it may have.
      if (this.random.chance(0.5)) return this.cut(link);
      this.note(link, text);
      link.isDead = true;
      link.node.end(chunk, () => this.cut(link));
      return;
    }
    this.note(link, text);
    link.node.write(chunk);
  }

  private toGateway(link: Link, chunk: Buffer): void {
    if (this.fault === 'black-hole') link.isDead = true;
    if (link.isDead) return;
    if (this.fault === 'drop-response' && link.isSubmission && this.random.chance(STRIKE_CHANCE)) {
      this.count('drop-response');
      link.isDead = true;
      // Half of the answers are followed by a reset, the others by silence.
      if (this.random.chance(0.5)) this.cut(link);
      return;
    }
    this.afterDelay(() => link.gateway.write(chunk));
  }

  /** Timers of equal length fire in order, so bytes stay in order while the delay stays the same. */
  private afterDelay(act: () => void): void {
    if (this.fault !== 'delay') return act();
    this.count('delay');
    setTimeout(act, this.delayMs);
  }

  private note(link: Link, text: string): void {
    const seen = link.tail + text;
    for (const [, nodeJobId = '', key = ''] of seen.matchAll(JOB)) {
      if (!this.sightings.has(nodeJobId)) this.sightings.set(nodeJobId, { nodeJobId, key, at: Date.now() });
    }
    link.tail = seen.slice(-TAIL_CHARS);
  }

  private cut(link: Link): void {
    if (!this.links.delete(link)) return;
    // An answer that was cut short must look so, hence a reset and no orderly end.
    if (!link.gateway.destroyed) link.gateway.resetAndDestroy();
    link.node.destroy();
  }

  private count(fault: LinkFault): void {
    this.strikes.set(fault, (this.strikes.get(fault) ?? 0) + 1);
  }
}
