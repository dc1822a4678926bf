import { performance } from 'node:perf_hooks';
import type { FleetNode } from './node.js';
import { isSampled, type TracedSpan, type Traceparent } from '../tracing/tracing.js';
import type { NodeClient } from './node-client.js';
import type { SubmitReply } from './node-replies.js';
import { beginRequestSpan, endRequestSpan } from './request-span.js';

interface Entry {
  readonly body: Buffer;
  readonly span?: TracedSpan | undefined;
  readonly resolve: (reply: SubmitReply) => void;
}

/** The largest batch: jobs, and bytes of their bodies. */
const BATCH_JOBS = 100;
const BATCH_BYTES = 8 * 1_048_576;
/** A request that takes longer than this does not keep the next one waiting, in ms. */
const SLOW_MS = 200;
/** Jobs do not wait longer than this for a node's rate budget, in ms: another node may have some left. */
const LONGEST_WAIT_MS = 1_500;
/** Requests to a node that may be open at the same time. */
const MAX_OPEN = 4;

/**
 * Sends submissions to one node. What gathers while a request is under way, or while the node's rate budget makes it
 * wait, leaves together as one batch; with nothing under way a job leaves at once and alone. Batching divides the node's
 * cost for each request, and what it spends of the budget, by the number of jobs.
 *
 * A batch that a node answers with a JSON 5xx has started nothing (docs/protocol.md §1); it is halved until the job at
 * fault stands alone and gets that answer for itself.
 */
export class NodeSender {
  private readonly waiting: Entry[] = [];
  private open = 0;
  private lastSentAt = -Infinity;
  private soon = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly node: FleetNode,
    private readonly client: NodeClient,
    private readonly timeoutMs: number,
  ) {}

  /** Sends the exact bytes of one submission. Never rejects. */
  submit(body: Buffer, span?: TracedSpan): Promise<SubmitReply> {
    return new Promise((resolve) => {
      this.waiting.push({ body, span, resolve });
      if (this.soon) return;
      this.soon = true;
      // Jobs that were committed together get here in the same turn of the event loop and go together.
      setImmediate(() => {
        this.soon = false;
        this.sendWhenFree();
      });
    });
  }

  private sendWhenFree(): void {
    if (this.waiting.length === 0 || this.timer !== undefined || this.open >= MAX_OPEN) return;
    const now = performance.now();
    const busyMs = this.open === 0 ? 0 : this.lastSentAt + SLOW_MS - now;
    const budgetMs = this.budgetMs(now);
    if (budgetMs > LONGEST_WAIT_MS) {
      const reason = 'the rate budget is spent';
      for (const { resolve } of this.waiting.splice(0))
        resolve({ kind: 'limited', reason, pauseMs: budgetMs });
      return;
    }
    const waitMs = Math.max(busyMs, budgetMs);
    if (waitMs <= 0) {
      this.send(this.take());
      // What did not fit waits no longer than anything else for the answer.
      this.sendWhenFree();
      return;
    }
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.sendWhenFree();
    }, Math.ceil(waitMs));
  }

  private budgetMs(now: number): number {
    const { budget } = this.node;
    const batchMs = budget.waitMs('create_job_batch', now);
    return this.waiting.length > 1 ? batchMs : Math.min(batchMs, budget.waitMs('create_job', now));
  }

  private take(): Entry[] {
    let bytes = 0;
    let count = 0;
    for (const { body } of this.waiting) {
      bytes += body.length;
      if (count > 0 && (count === BATCH_JOBS || bytes > BATCH_BYTES)) break;
      count += 1;
    }
    return this.waiting.splice(0, count);
  }

  private send(entries: readonly Entry[]): void {
    this.open += 1;
    this.lastSentAt = performance.now();
    void this.deliver(entries).finally(() => {
      this.open -= 1;
      clearTimeout(this.timer);
      this.timer = undefined;
      this.sendWhenFree();
    });
  }

  private async deliver(entries: readonly Entry[]): Promise<void> {
    const [only] = entries;
    if (entries.length === 1 && only !== undefined) return this.deliverAlone(only);
    const bodies = entries.map(({ body }) => body);
    const reply = await this.traced('/api/jobs/batch', entries, (traceparent) =>
      this.client.submitBatch(this.node, bodies, this.timeoutMs, traceparent),
    );
    if (reply.kind === 'items') {
      entries.forEach(({ resolve }, index) => resolve(reply.items[index] as SubmitReply));
    } else if (reply.kind === 'error') {
      const middle = Math.ceil(entries.length / 2);
      await this.deliverHalf(entries.slice(0, middle));
      await this.deliverHalf(entries.slice(middle));
    } else {
      for (const { resolve } of entries) resolve(reply);
    }
  }

  private async deliverHalf(entries: readonly Entry[]): Promise<void> {
    const route = entries.length === 1 ? 'create_job' : 'create_job_batch';
    const waitMs = this.node.budget.waitMs(route, performance.now());
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, Math.ceil(waitMs)));
    await this.deliver(entries);
  }

  /** The route for one job may have run out of budget before the one for batches. */
  private async deliverAlone(entry: Entry): Promise<void> {
    const { body, resolve } = entry;
    const now = performance.now();
    const { budget } = this.node;
    if (budget.waitMs('create_job', now) <= budget.waitMs('create_job_batch', now)) {
      const answer = await this.traced('/api/jobs', [entry], (traceparent) =>
        this.client.submit(this.node, body, this.timeoutMs, traceparent),
      );
      resolve(answer);
      return;
    }
    const reply = await this.traced('/api/jobs/batch', [entry], (traceparent) =>
      this.client.submitBatch(this.node, [body], this.timeoutMs, traceparent),
    );
    resolve(reply.kind === 'items' ? (reply.items[0] as SubmitReply) : reply);
  }

  /**
   * A request for several jobs belongs to the trace of the first one that is sampled, and has links to the others' spans,
   * which get one to it.
   */
  private async traced<Reply extends { readonly kind: string }>(
    path: string,
    entries: readonly Entry[],
    send: (traceparent: Traceparent | undefined) => Promise<Reply>,
  ): Promise<Reply> {
    const spans = entries.flatMap(({ span }) => span ?? []);
    const first = spans.find(({ traceparent }) => isSampled(traceparent)) ?? spans[0];
    if (first === undefined) return send(undefined);
    const others = spans.filter((span) => span !== first);
    const links = others.map(({ traceparent }) => traceparent);
    const request = beginRequestSpan(path, this.node, first, { jobs: entries.length, links });
    for (const other of others) if (request !== undefined) other.link(request.traceparent);
    const reply = await send(request?.traceparent);
    endRequestSpan(request, reply.kind);
    return reply;
  }
}
