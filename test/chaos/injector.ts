import { setTimeout as sleep } from 'node:timers/promises';
import type { Installation } from './installation.js';
import type { LinkFault } from './relay.js';
import { FAULTS, type FaultKind, type PlannedFault } from './schedule.js';

/** A fault that was injected. Times are milliseconds since the epoch; `until` is when all was healthy again. */
export interface InjectedFault {
  readonly kind: FaultKind;
  readonly target: number;
  readonly at: number;
  until: number;
}

/** The strongest delay of the relay, in ms; above the gateways' submit timeout, so that some are cut by it. */
const LONGEST_DELAY_MS = 3_000;
const SHORTEST_DELAY_MS = 50;

/** A graceful stop must not take longer, in ms: the gateway's budget and some for the rest. */
const GRACEFUL_LIMIT_MS = 15_000;

/** Does to the installation what the schedule says. Faults of the same target wait for each other. */
export class Injector {
  readonly injected: InjectedFault[] = [];
  /** What went wrong with the faults themselves, such as a stop that was not graceful. */
  readonly remarks: string[] = [];
  private readonly lines = new Map<string, Promise<void>>();

  constructor(private readonly installation: Installation) {}

  /** Injects the faults at their time, counted from now; resolves when the last one is over. */
  async follow(plan: readonly PlannedFault[], signal: AbortSignal): Promise<void> {
    const startedAt = Date.now();
    for (const fault of plan) {
      const waitMs = startedAt + fault.atMs - Date.now();
      if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) break;
      this.enqueue(fault, signal);
    }
    await Promise.all(this.lines.values());
  }

  private enqueue(fault: PlannedFault, signal: AbortSignal): void {
    const { on } = FAULTS[fault.kind];
    const line = `${on === 'queue' ? 'redis' : on} ${fault.target}`;
    const turn = (this.lines.get(line) ?? Promise.resolve()).then(() =>
      signal.aborted ? undefined : this.inject(fault),
    );
    this.lines.set(line, turn);
  }

  private async inject(fault: PlannedFault): Promise<void> {
    const { kind, target } = fault;
    let injected: InjectedFault | undefined;
    const struck = (): void => {
      injected = { kind, target, at: Date.now(), until: Infinity };
      this.injected.push(injected);
    };
    try {
      await this.strike(fault, struck);
    } catch (error) {
      this.remarks.push(`${kind} of ${target}: ${String(error)}`);
    }
    if (injected !== undefined) injected.until = Date.now();
  }

  /** @param struck to be called as soon as the damage is done; recovery is measured from there */
  private async strike(fault: PlannedFault, struck: () => void): Promise<void> {
    const { kind, target, forMs, strength } = fault;
    switch (kind) {
      case 'kill-gateway':
      case 'stop-gateway':
        return this.restartGateway(target, kind === 'kill-gateway' ? 'SIGKILL' : 'SIGTERM', forMs, struck);
      case 'pause-gateway': {
        const gateway = at(this.installation.replicas, target).process;
        gateway.pause();
        struck();
        await sleep(forMs);
        return gateway.resume();
      }
      case 'kill-node':
        await this.takeNodesDown([target], forMs, struck);
        return;
      case 'restart-node':
        return this.restartNode(target, forMs, struck);
      case 'drop-response':
      case 'reset':
      case 'black-hole':
      case 'refuse':
        return this.spoilLink(target, kind, forMs, 0, struck);
      case 'delay': {
        const delayMs = SHORTEST_DELAY_MS * (LONGEST_DELAY_MS / SHORTEST_DELAY_MS) ** strength;
        return this.spoilLink(target, kind, forMs, delayMs, struck);
      }
      case 'restart-postgres':
        await this.installation.postgres.stop('immediate');
        struck();
        await sleep(forMs);
        return this.installation.postgres.start();
      case 'flush-queue':
        await (this.installation.redis?.flush() ?? this.installation.postgres.emptyQueues());
        return struck();
      case 'restart-redis':
        await this.installation.redis?.process.end('SIGKILL');
        struck();
        await sleep(forMs);
        return this.installation.redis?.process.start();
    }
  }

  /** Kills every node at once; all are back when the promise resolves. */
  async takeAllNodesDown(forMs: number): Promise<void> {
    const targets = [...this.installation.nodes.keys()];
    const faults = targets.map((target) => ({
      kind: 'kill-node' as const,
      target,
      at: Date.now(),
      until: Infinity,
    }));
    this.injected.push(...faults);
    await this.takeNodesDown(targets, forMs);
    for (const fault of faults) fault.until = Date.now();
  }

  /** Kills nodes and starts them again after a while; whatever they held is gone. */
  private async takeNodesDown(
    targets: readonly number[],
    forMs: number,
    struck = (): void => undefined,
  ): Promise<void> {
    const nodes = targets.map((target) => at(this.installation.nodes, target));
    await Promise.all(
      nodes.map(async (node) => {
        await node.process.end('SIGKILL');
        await node.relay.setNodeUp(false);
      }),
    );
    struck();
    await sleep(forMs);
    await Promise.all(
      nodes.map(async (node) => {
        await node.process.start();
        await node.relay.setNodeUp(true);
      }),
    );
  }

  /** The node's process goes on: finished results stay, running jobs are lost. */
  private async restartNode(target: number, downMs: number, struck: () => void): Promise<void> {
    const node = at(this.installation.nodes, target);
    const answer = await fetch(`${node.url}/__emulator/restart`, {
      method: 'POST',
      body: JSON.stringify({ downMs }),
    });
    if (answer.status !== 202) throw new Error(`the control surface answers ${answer.status}`);
    struck();
    await node.relay.setNodeUp(false);
    await sleep(downMs);
    await node.relay.setNodeUp(true);
  }

  private async restartGateway(
    target: number,
    signal: 'SIGKILL' | 'SIGTERM',
    downMs: number,
    struck: () => void,
  ): Promise<void> {
    const gateway = at(this.installation.replicas, target).process;
    // A graceful stop begins with the signal, a kill is over when the process is gone.
    if (signal === 'SIGTERM') struck();
    const { tookMs, how } = await gateway.end(signal);
    if (signal === 'SIGKILL') struck();
    if (signal === 'SIGTERM' && (how !== 'exit code 0' || tookMs > GRACEFUL_LIMIT_MS)) {
      this.remarks.push(`${gateway.name} was asked to stop and ended after ${tookMs} ms with ${how}`);
    }
    await sleep(downMs);
    await gateway.start();
  }

  private async spoilLink(
    target: number,
    fault: LinkFault,
    forMs: number,
    delayMs: number,
    struck: () => void,
  ): Promise<void> {
    const { relay } = at(this.installation.nodes, target);
    await relay.set(fault, delayMs);
    struck();
    await sleep(forMs);
    await relay.set('pass');
  }
}

function at<Item>(items: readonly Item[], index: number): Item {
  const item = items[index];
  if (item === undefined) throw new RangeError(`there is no number ${index}`);
  return item;
}
