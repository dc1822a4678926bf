import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { Chain, type Subscribed } from './chain.js';
import { ControlSurface } from './control-surface.js';
import { ExecutionLog, type Execution } from './execution-log.js';
import { Faults } from './faults.js';
import { FrontDoor } from './front-door.js';
import { JobRunner } from './job-runner.js';
import { JobStore } from './job-store.js';
import { Listener } from './listener.js';
import { NodeApi } from './node-api.js';
import { nodeSetup, type EmulatedNodeOptions, type NodeSetup } from './options.js';
import { RateLimiter } from './rate-limiter.js';
import { RequestLog, type ReceivedRequest } from './request-log.js';
import { ScriptedAnswers, type ScriptedReplyHead } from './scripted-answers.js';
import { SerialCost } from './serial-cost.js';
import { Slots } from './slots.js';

/** What a node tells while it runs; for tests to wait on, instead of sleeping. */
export interface EmulatedNodeEvents {
  /** A request has been read; nothing has been done about it yet. */
  received: [ReceivedRequest];
  /** An execution of a container has ended. */
  finished: [Execution];
}

/** Body limit of the node: 16 MiB, inclusive. */
const BODY_LIMIT_BYTES = 16_777_216;

/**
 * A faithful Infernet node on a real port: the endpoints, answers and failures of the reference node
 * 1.4.0 as docs/protocol.md describes them, with containers of its own and faults that can be switched
 * while it runs.
 *
 * One deliberate difference: payloads pass through as the bytes that came in. The reference node parses
 * and writes them again, so there 1e3 becomes 1000.0, members are sorted and duplicates dropped.
 */
export class EmulatedNode {
  readonly name: string;
  /** Faults to switch; all off at first. */
  readonly faults: Faults;
  readonly events = new EventEmitter<EmulatedNodeEvents>();
  readonly #setup: NodeSetup;
  readonly #listener: Listener;
  readonly #store: JobStore;
  readonly #slots: Slots;
  readonly #runner: JobRunner;
  readonly #log: ExecutionLog;
  readonly #requests: RequestLog | undefined;
  readonly #scripted = new ScriptedAnswers();
  readonly #replies = new Map<number, number>();
  readonly #control: ControlSurface;
  #chain: Chain;
  #frontDoor: FrontDoor;
  /** No process: the port stays closed whatever the faults say. */
  #isDead = false;
  #isStopped = false;

  private constructor(setup: NodeSetup, listener: Listener) {
    this.#setup = setup;
    this.#listener = listener;
    this.name = setup.name ?? `node-${listener.port}`;
    this.#store = new JobStore(setup.pendingTtlMs);
    this.#slots = new Slots(setup.slots);
    this.#log = new ExecutionLog(
      this.name,
      (execution) => this.events.emit('finished', execution),
      setup.executionLog,
    );
    this.#requests = setup.record ? new RequestLog() : undefined;
    this.faults = new Faults({
      refuse: async (on) => (on ? listener.close() : this.#isDead ? undefined : listener.open()),
      losePending: () => this.#store.dropPending(),
      evictResults: () => this.#store.evictCompleted(),
    });
    this.#runner = new JobRunner({
      ...setup,
      node: this.name,
      slots: this.#slots,
      store: this.#store,
      log: this.#log,
      faults: this.faults,
      scripted: this.#scripted,
    });
    this.#control = new ControlSurface(this);
    this.#chain = this.#newChain();
    this.#frontDoor = this.#newFrontDoor();
  }

  /**
   * Starts a node; it listens when the promise resolves.
   * @throws RangeError for an option out of range; a system error when the port is taken
   */
  static async start(options: EmulatedNodeOptions = {}): Promise<EmulatedNode> {
    const setup = nodeSetup(options);
    const listener = new Listener(setup.host, (request, response, nth) =>
      node.#receive(request, response, nth),
    );
    await listener.open(setup.port);
    // The first request arrives in a later turn of the event loop than the one that ends `open`.
    const node = new EmulatedNode(setup, listener);
    return node;
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Base address without a trailing slash. */
  get url(): string {
    const { host } = this.#setup;
    const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
    return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${this.port}`;
  }

  /** The requests received, oldest first; the last 10,000 of them. The control surface's own are not kept. */
  get received(): ReceivedRequest[] {
    return this.#requests?.requests ?? [];
  }

  /** How many replies had each status since the start, restarts included. */
  get replies(): Readonly<Record<number, number>> {
    return Object.fromEntries(this.#replies);
  }

  /** Every container execution since the start, restarts included, in order of start. */
  get executions(): readonly Execution[] {
    return this.#log.entries;
  }

  /** The delegated subscriptions taken since the last restart. */
  get subscriptions(): readonly Subscribed[] {
    return this.#chain.subscriptions;
  }

  /** Counts for tests and the control surface. */
  get load(): { pending: number; completed: number; busySlots: number; queued: number } {
    return {
      pending: this.#store.pendingCount,
      completed: this.#store.completedCount,
      busySlots: this.#slots.busy,
      queued: this.#slots.queued,
    };
  }

  /** Ids of the containers on offer. */
  get containers(): string[] {
    return [...this.#setup.containers.keys()];
  }

  /** How many executions may run at a time; Infinity for no limit. */
  get slots(): number {
    return this.#setup.slots;
  }

  /**
   * Scripts exact bytes: for a container id its output, for a job id that job's output, for a route such
   * as `GET /api/jobs` the whole body of its reply (`head` gives status and content type).
   * @param bytes undefined ends the script
   */
  respondWith(target: string, bytes: Buffer | string | undefined, head?: ScriptedReplyHead): void {
    this.#scripted.script(target, bytes, head);
  }

  /**
   * The process ends and starts again on the same port: connections close, running jobs are lost without
   * a trace, completed results stay, rate limits start anew. Also revives a killed node.
   * @param options.downMs how long the port stays closed in between; default 0
   */
  async restart(options: { downMs?: number } = {}): Promise<void> {
    this.#die('close');
    this.#isDead = false;
    if (options.downMs !== undefined) await delay(options.downMs);
    this.#store.dropPending();
    this.#chain = this.#newChain();
    this.#frontDoor = this.#newFrontDoor();
    if (this.faults.active.refuse === undefined) await this.#listener.open();
  }

  /** Resolves when no job runs or waits for a slot. */
  idle(): Promise<void> {
    return this.#runner.idle();
  }

  /** The process is killed: every connection is reset, nothing listens, running jobs are lost. */
  kill(): void {
    this.#die('reset');
  }

  /** Ends the node and closes its log file; safe to call twice. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#die('close');
    await this.faults.clear();
    // The executions just lost are logged in this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    this.#log.close();
  }

  #die(end: 'reset' | 'close'): void {
    this.#isDead = true;
    this.#listener.close();
    this.#listener.destroyConnections(end);
    this.#frontDoor.die();
    this.#runner.abandon();
  }

  #receive(request: IncomingMessage, response: ServerResponse, nth: number): void {
    if (request.url?.startsWith('/__emulator/') === true) {
      void this.#control.receive(request, response);
      return;
    }
    void this.#frontDoor.receive(request, response, nth);
  }

  #newChain(): Chain {
    const { chainAddress, chainId, coordinator, signers, allowedOwners, containers } = this.#setup;
    if (chainAddress === undefined) return new Chain(undefined, containers);
    const lowerCased = Object.fromEntries(
      Object.entries(signers).map(([owner, signer]) => [owner.toLowerCase(), signer]),
    );
    return new Chain(
      {
        address: chainAddress,
        coordinator: { chainId, address: coordinator },
        signers: lowerCased,
        allowedOwners,
      },
      containers,
    );
  }

  #newFrontDoor(): FrontDoor {
    const { version, traits, containers, allowedAddresses, rateLimit } = this.#setup;
    const { faults } = this;
    const store = this.#store;
    const runner = this.#runner;
    const chain = this.#chain;
    return new FrontDoor({
      api: new NodeApi({ version, traits, chain, containers, allowedAddresses, store, runner, faults }),
      traits,
      faults,
      scripted: this.#scripted,
      onReceived: (request) => {
        this.#requests?.record(request);
        this.events.emit('received', request);
      },
      onReplied: (status) => this.#replies.set(status, (this.#replies.get(status) ?? 0) + 1),
      limiter: rateLimit === false ? undefined : new RateLimiter(rateLimit),
      cost: new SerialCost(this.#setup.requestCostMs),
      bodyLimitBytes: BODY_LIMIT_BYTES,
      stallReusedMs: this.#setup.stallReusedMs,
      requestsPerConnection: this.#setup.requestsPerConnection,
      isClosing: () => !this.#listener.isOpen,
    });
  }
}
