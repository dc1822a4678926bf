import { performance } from 'node:perf_hooks';
import type { FleetNode } from './node.js';
import type { NodeClient } from './node-client.js';
import type { DelegationReply } from './node-replies.js';

interface Entry {
  readonly body: Buffer;
  readonly resolve: (reply: DelegationReply) => void;
}

/** Requests to a node that may be open at the same time. */
const MAX_OPEN = 4;
/** They do not wait longer than this for a node's rate budget, in ms: another node may have some left. */
const LONGEST_WAIT_MS = 1_500;

/**
 * Sends delegated subscriptions to one node, in order and within its rate budget. Each leaves alone: in a batch, a node
 * without a chain starts the other items and then answers for none of them (docs/protocol.md §5).
 */
export class DelegationSender {
  private readonly waiting: Entry[] = [];
  private open = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly node: FleetNode,
    private readonly client: Pick<NodeClient, 'submitDelegated'>,
    private readonly timeoutMs: number,
  ) {}

  /** Sends the exact bytes of one request. Never rejects. */
  submit(body: Buffer): Promise<DelegationReply> {
    return new Promise((resolve) => {
      this.waiting.push({ body, resolve });
      this.sendWhenFree();
    });
  }

  private sendWhenFree(): void {
    while (this.open < MAX_OPEN && this.timer === undefined) {
      const waitMs = this.node.budget.waitMs('create_job', performance.now());
      if (waitMs > LONGEST_WAIT_MS) return this.giveBack(waitMs);
      if (waitMs > 0 && this.waiting.length > 0) {
        this.timer = setTimeout(() => {
          this.timer = undefined;
          this.sendWhenFree();
        }, Math.ceil(waitMs));
        return;
      }
      const next = this.waiting.shift();
      if (next === undefined) return;
      this.open += 1;
      void this.client.submitDelegated(this.node, next.body, this.timeoutMs).then((reply) => {
        this.open -= 1;
        next.resolve(reply);
        this.sendWhenFree();
      });
    }
  }

  private giveBack(pauseMs: number): void {
    const reply = { kind: 'limited', reason: 'the rate budget is spent', pauseMs } as const;
    for (const { resolve } of this.waiting.splice(0)) resolve(reply);
  }
}
