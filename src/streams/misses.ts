import type { Refusal } from '../dispatch/attempt-loop.js';
import type { AttemptEnding } from '../dispatch/attempt-store.js';
import type { StreamReply } from '../nodes/stream-client.js';
import type { Confirmation } from './confirmation.js';
import type { Halt } from './stream-parts.js';

/** How a stream came to nothing on one node, so that it goes to the next. */
export interface Miss {
  readonly ending: AttemptEnding;
  /** For the caller, if it was the last node. */
  readonly error: string;
  readonly refusal?: Refusal;
  /** A JSON 5xx. */
  readonly erred?: boolean;
  /** 429: when the caller's budget at this node has something again, in ms. */
  readonly pauseMs?: number;
}

/** What an answer other than a stream means for it. */
export function missOf(reply: Exclude<StreamReply, { kind: 'streaming' }>): Miss {
  const { reason } = reply;
  switch (reply.kind) {
    case 'unreachable':
      return {
        ending: { state: 'unreachable', reason: `could not reach the node: ${reason}` },
        error: 'No node could be reached',
      };
    case 'unclear':
      return {
        ending: { state: 'lost', reason: `no answer after the request was sent: ${reason}` },
        error: 'The node did not answer',
      };
    case 'refused':
      return {
        ending: { state: 'refused', reason: `refused: ${reason}` },
        error: reason,
        refusal: { status: reply.status, error: reason, params: reply.params },
      };
    case 'limited':
      return {
        ending: { state: 'unreachable', reason: `the node would not take it now: ${reason}` },
        error: 'Your budget at the nodes is spent for the moment',
        pauseMs: reply.pauseMs,
      };
    case 'error':
      return {
        ending: { state: 'failed', reason: `the node answered ${reason}` },
        error: reason,
        refusal: { status: 400, error: reason, params: {} },
        erred: true,
      };
  }
}

/** What became of a stream of which the node does not say that it ended. */
export function lossOf(
  word: Confirmation,
  broken: string | undefined,
  tookMs: number,
): { error: string; reason: string; fault: boolean } {
  const seconds = `${(tookMs / 1_000).toFixed(1)} s`;
  if (word.kind === 'row') {
    // It still runs, or ended in a way that nobody was told of: the node has given up passing it on.
    const error = `The node cut the stream after ${seconds}, before the container had finished; nodes do so after 60 s`;
    return { error, reason: `the node cut the stream after ${seconds}`, fault: false };
  }
  const how = broken === undefined ? 'the stream ended' : `the connection broke after ${seconds} (${broken})`;
  if (word.kind === 'absent') {
    const reason = `${how}, and the node does not know the job any more`;
    return { error: `The node lost the stream after ${seconds}`, reason, fault: false };
  }
  const reason = `${how}, and the node does not say how it ended: ${word.reason}`;
  return { error: `The connection to the node broke after ${seconds}`, reason, fault: true };
}

/** The limit that a container has by its settings. */
export function tooLong(limitMs: number): Halt {
  const error = `The stream ran for more than ${Math.round(limitMs / 1_000)} s`;
  return { error, reason: error };
}
