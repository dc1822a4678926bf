import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FleetNode } from '../nodes/node.js';
import type { StreamClient } from '../nodes/stream-client.js';
import type { StreamRow } from '../protocol/stream-row.js';

/** What a node says of a stream whose connection has ended. */
export type Confirmation =
  | { readonly kind: 'row'; readonly row: StreamRow }
  /** The node answers and does not know it. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'unknown'; readonly reason: string };

export interface Question {
  readonly node: FleetNode;
  readonly nodeJobId: string;
  /** The caller's, whose rate budget is spent. */
  readonly address: string;
  readonly signal: AbortSignal;
  /** A longer result is not kept. */
  readonly keepBytes: number;
  readonly timeoutMs: number;
  /** Whether the node said that the stream is over: then a row that is running will not be for long. */
  readonly ended: boolean;
}

/** Pauses before each question, in ms. */
const PATIENCE = { ended: [0, 50, 200, 500, 1_500, 3_000], broken: [0, 300] };
/** The gateway's own budget is waited for no longer than this, in ms. */
const LONGEST_BUDGET_WAIT_MS = 3_000;

/**
 * Asks the node how a stream ended, since the connection does not tell: a node ends a stream whose container failed as
 * cleanly as any other (docs/protocol.md §6.5). Where the caller's rate budget is spent, the gateway's own is used.
 */
export async function confirm(client: StreamClient, question: Question): Promise<Confirmation> {
  const { node, nodeJobId, keepBytes, timeoutMs, signal, ended } = question;
  let address: string | undefined = question.address;
  let last: Confirmation = { kind: 'unknown', reason: 'the node was not asked' };
  for (const pauseMs of ended ? PATIENCE.ended : PATIENCE.broken) {
    if (pauseMs > 0) await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return last;
    const reply = await client.row(node, nodeJobId, keepBytes, { address, signal, timeoutMs });
    if (reply.kind === 'row') {
      last = reply;
      if (reply.row.status !== 'running' || !ended) return reply;
    } else if (reply.kind === 'absent') {
      // One could be a hiccup.
      if (last.kind === 'absent') return last;
      last = reply;
    } else {
      last = { kind: 'unknown', reason: reply.reason };
      if (reply.kind === 'limited') {
        address = undefined;
        const waitMs = node.budget.waitMs('get_job', performance.now());
        await sleep(Math.min(waitMs, LONGEST_BUDGET_WAIT_MS), undefined, { signal }).catch(() => undefined);
      }
    }
  }
  return last;
}
