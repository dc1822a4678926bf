import { performance } from 'node:perf_hooks';
import type { FleetNode } from './node.js';
import type { NodeClient } from './node-client.js';
import type { DelegationReply } from './node-replies.js';

interface Entry {
  readonly body: Buffer;
  readonly sinceMs: number;
  readonly resolve: (reply: DelegationReply) => void;
}

/** Requests to a node that may be open at the same time. */
const MAX_OPEN = 4;
/** They do not wait longer than this for a node's rate budget or for its answers to others: another may have them. */
const LONGEST_WAIT_MS = 1_500;

/**
 * Sends delegated subscriptions to one node, in order and within its rate budget. Each leaves alone: in a batch, a node
 * without a chain starts the other items and then answers for none of them (docs/protocol.md §5).
 */
export class DelegationSender {
  private readonly waiting: Entry[] = [];
  private open = 0;
  private timer: NodeJS.Timeout | undefined;
  private patience: NodeJS.Timeout | undefined;

  constructor(
    private readonly node: FleetNode,
    private readonly client: Pick<NodeClient, 'submitDelegated'>,
    private readonly timeoutMs: number,
  ) {}

  /** Sends the exact bytes of one request. Never rejects. */
  submit(body: Buffer): Promise<DelegationReply> {
    return new Promise((resolve) => {
      this.waiting.push({ body, sinceMs: performance.now(), resolve });
      this.sendWhenFree();
      this.boundWait();
    });
  }

  private sendWhenFree(): void {
    while (this.open < MAX_OPEN && this.timer === undefined) {
      const waitMs = this.node.budget.waitMs('create_job', performance.now());
      if (waitMs > LONGEST_WAIT_MS) {
        const reason = 'the rate budget is spent';
        return this.giveBack(this.waiting.length, { kind: 'limited', reason, pauseMs: waitMs });
      }
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
        // Those behind it have not left, so another node may have them at once.
        if (reply.kind === 'unreachable' || reply.kind === 'unclear') {
          this.giveBack(this.waiting.length, { kind: 'unreachable', reason: reply.reason });
        }
        this.sendWhenFree();
      });
    }
  }

  /** Gives back in time what requests under way, or the rate budget, keep from leaving. */
  private boundWait(): void {
    const [first] = this.waiting;
    if (first === undefined || this.patience !== undefined) return;
    const leftMs = first.sinceMs + LONGEST_WAIT_MS - performance.now();
    this.patience = setTimeout(
      () => {
        this.patience = undefined;
        const tooOldMs = performance.now() - LONGEST_WAIT_MS;
        const young = this.waiting.findIndex(({ sinceMs }) => sinceMs > tooOldMs);
        const reason = 'too many were to go there before it';
        const count = young === -1 ? this.waiting.length : young;
        this.giveBack(count, { kind: 'limited', reason, pauseMs: LONGEST_WAIT_MS });
        this.boundWait();
      },
      Math.ceil(leftMs) + 1,
    );
  }

  /** Answers the first so many of those that wait. */
  private giveBack(count: number, reply: DelegationReply): void {
    for (const { resolve } of this.waiting.splice(0, count)) resolve(reply);
  }
}
