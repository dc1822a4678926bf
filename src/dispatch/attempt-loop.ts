import { setTimeout as sleep } from 'node:timers/promises';
import { v7 as uuidv7 } from 'uuid';
import { withNodeJobId } from '../protocol/job-request.js';
import type { FleetNode } from '../nodes/node.js';
import type { NodeClient, NodeFailure, SubmitReply } from '../nodes/node-client.js';
import type { AttemptEnding, AttemptStore, NewAttempt } from './attempt-store.js';

/**
 * Sends one job, one attempt per turn: send → classify → next node, until a node has it, none is left, or it
 * is refused. Every turn's attempt is committed before its request leaves, and its ending is committed with
 * the next attempt in one transaction, so at any instant the store says where the job may be.
 *
 * | what the node did | what the loop does |
 * |---|---|
 * | accepted | done |
 * | 4xx | other nodes are asked too, since a node decides about proofs and addresses; all refuse → refused |
 * | JSON 5xx | one other node; the same again (or no other node) → refused: it may be the request's own fault |
 * | could not be reached, or a page came back | next node at once; the node is left alone for a while |
 * | no answer after sending | it may have the job: the node is asked for it, twice; found → accepted, not found → next node |
 * | no answer to that either | the node is closed and asked again until it answers or 30 s have gone by, then next node |
 * | 429 | next node; the node gets the pause it asked for and no blame |
 *
 * With no node left the job goes back to be held; the dispatcher releases it when a node can take it.
 */

/** A job on its way to a node. */
export interface Trip {
  readonly jobId: string;
  readonly containers: readonly string[];
  readonly body: Buffer;
  readonly attempt: NewAttempt;
  /** The application has its id: from now on the job can only end in a result. */
  acknowledged: boolean;
  /** The job is being taken away again and must not be acknowledged any more. */
  withdrawn: boolean;
}

/** A refusal to be passed on to the application. */
export interface Refusal {
  readonly status: number;
  readonly error: string;
  readonly params: Readonly<Record<string, unknown>>;
}

export type TripOutcome =
  | { readonly kind: 'accepted'; readonly attempt: NewAttempt; readonly nodeJobId: string }
  | { readonly kind: 'held' }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** Refused after it had been acknowledged: the job ended as failed. */
  | { readonly kind: 'failed' };

/** What the loop needs of the dispatcher: a choice of nodes, and somebody to tell how they behave. */
export interface TripGuide {
  node(id: string): FleetNode | undefined;
  nextNode(trip: Trip, tried: ReadonlySet<string>): string | undefined;
  accepted(nodeId: string): void;
  notAccepted(nodeId: string, fault: boolean): void;
  faulted(nodeId: string): void;
  paused(nodeId: string, pauseMs: number): void;
  /** Runs a transition until it is committed, however long the database is away. */
  commit(transition: () => Promise<void>): Promise<void>;
}

/** Units: ms. */
export interface AttemptTimings {
  readonly submitTimeoutMs: number;
  /** Between two questions whether a node has a job. */
  readonly askAgainMs: number;
  /** How long a node is asked that does not answer. */
  readonly giveUpAskingMs: number;
}

export const DEFAULT_ASKING = { askAgainMs: 2_000, giveUpAskingMs: 30_000 };

const ASK_TIMEOUT_MS = 2_000;

export class AttemptLoop {
  constructor(
    private readonly client: NodeClient,
    private readonly store: AttemptStore,
    private readonly guide: TripGuide,
    private readonly timings: AttemptTimings,
  ) {}

  /** Sends a job whose first attempt is committed. */
  async send(trip: Trip): Promise<TripOutcome> {
    return this.run(trip, (attempt, node) =>
      this.client.submit(node.config, withNodeJobId(trip.body, attempt.id), this.timings.submitTimeoutMs),
    );
  }

  /** Goes on with a job whose attempt was sent, or not, by a process that is gone: asks first. */
  async resume(trip: Trip): Promise<TripOutcome> {
    let first = true;
    return this.run(trip, (attempt, node) => {
      if (first) {
        first = false;
        return Promise.resolve({ kind: 'unclear', reason: 'the gateway stopped while sending' });
      }
      return this.client.submit(
        node.config,
        withNodeJobId(trip.body, attempt.id),
        this.timings.submitTimeoutMs,
      );
    });
  }

  private async run(
    trip: Trip,
    submit: (attempt: NewAttempt, node: FleetNode) => Promise<SubmitReply>,
  ): Promise<TripOutcome> {
    const tried = new Set<string>();
    let attempt = trip.attempt;
    let refusal: Refusal | undefined;
    let errors = 0;
    for (;;) {
      tried.add(attempt.nodeId);
      const node = this.guide.node(attempt.nodeId);
      let reply: SubmitReply =
        node === undefined
          ? { kind: 'unreachable', reason: 'the node was removed' }
          : await submit(attempt, node);
      if (reply.kind === 'unclear' && node !== undefined) reply = await this.ask(attempt, node, reply);
      if (reply.kind === 'accepted') return this.takeAccepted(attempt, reply.id);

      this.blame(attempt.nodeId, reply);
      if (reply.kind === 'refused') {
        refusal = { status: reply.status, error: reply.reason, params: reply.params };
      } else if (reply.kind === 'error') {
        errors += 1;
        refusal ??= { status: 400, error: reply.reason, params: {} };
      }
      const nextNodeId = errors >= 2 ? undefined : this.guide.nextNode(trip, tried);
      const ending = endingOf(reply);
      if (nextNodeId === undefined) return this.giveUp(trip, attempt, ending, refusal);
      const next = { id: uuidv7(), jobId: trip.jobId, nodeId: nextNodeId, number: attempt.number + 1 };
      const previous = attempt;
      await this.guide.commit(() => this.store.moveOn(previous, ending, next));
      attempt = next;
    }
  }

  private async takeAccepted(attempt: NewAttempt, nodeJobId: string): Promise<TripOutcome> {
    this.guide.accepted(attempt.nodeId);
    const foreignId = nodeJobId === attempt.id ? undefined : nodeJobId;
    const committed = this.guide.commit(() => this.store.accepted(attempt, foreignId));
    // With our own id the node can be asked after a crash, so nothing hangs on this commit.
    if (foreignId !== undefined) await committed;
    return { kind: 'accepted', attempt, nodeJobId };
  }

  /** No node is left for now: refuse if a node did, else hold. */
  private async giveUp(
    trip: Trip,
    attempt: NewAttempt,
    ending: AttemptEnding,
    refusal: Refusal | undefined,
  ): Promise<TripOutcome> {
    if (refusal === undefined) {
      await this.guide.commit(() => this.store.requeue(attempt, ending));
      return { kind: 'held' };
    }
    if (trip.acknowledged) {
      await this.guide.commit(() => this.store.fail(attempt, trip.containers, ending, refusal.error));
      return { kind: 'failed' };
    }
    trip.withdrawn = true;
    await this.store.withdraw(trip.jobId);
    return { kind: 'refused', refusal };
  }

  /** Does the node have the job whose submission it did not answer? */
  private async ask(attempt: NewAttempt, node: FleetNode, unclear: NodeFailure): Promise<SubmitReply> {
    let absences = 0;
    for (let waitedMs = 0; ; waitedMs += this.timings.askAgainMs) {
      let found = false;
      const reply = await this.client.results(
        node.config,
        { ids: [attempt.id], intermediate: false },
        // One byte more than nothing: only the presence of the row counts, not what is in it.
        { timeoutMs: ASK_TIMEOUT_MS, maxRowBytes: 1 },
        (row) => (found ||= row.id === attempt.id),
      );
      if (found) return { kind: 'accepted', id: attempt.id };
      if (reply.kind === 'complete') absences += 1;
      else if (reply.kind === 'limited') this.guide.paused(node.id, reply.pauseMs);
      else this.guide.faulted(node.id);
      if (absences === 2) return unclear;
      if (absences === 0 && waitedMs >= this.timings.giveUpAskingMs) {
        return { kind: 'unclear', reason: `${unclear.reason}; then no answer for ${waitedMs / 1_000} s` };
      }
      await sleep(this.timings.askAgainMs, undefined, { ref: false });
    }
  }

  private blame(nodeId: string, reply: SubmitReply): void {
    const fault = reply.kind === 'unreachable' || reply.kind === 'unclear';
    this.guide.notAccepted(nodeId, fault);
    if (reply.kind === 'limited') this.guide.paused(nodeId, reply.pauseMs);
  }
}

function endingOf(reply: Exclude<SubmitReply, { kind: 'accepted' }>): AttemptEnding {
  switch (reply.kind) {
    case 'unreachable':
      return { state: 'unreachable', reason: `could not reach the node: ${reply.reason}` };
    case 'unclear':
      return { state: 'lost', reason: `no answer, and the node does not know the job: ${reply.reason}` };
    case 'refused':
      return { state: 'refused', reason: `refused: ${reply.reason}` };
    case 'limited':
    case 'error':
      return { state: 'refused', reason: `the node answered ${reply.reason}` };
  }
}
