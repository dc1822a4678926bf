import { withNodeJobId } from '../protocol/job-request.js';
import type { NodeFeature } from '../protocol/node-info.js';
import type { FleetNode } from '../nodes/node.js';
import type { SubmitReply } from '../nodes/node-replies.js';
import type { NodeSenders } from '../nodes/node-senders.js';
import type { Commits } from '../persistence/commits.js';
import type { Traceparent } from '../tracing/tracing.js';
import { beginAttemptSpan } from './attempt-span.js';
import type { Attempt, AttemptEnding, AttemptStore } from './attempt-store.js';
import type { JobNeeds } from './policy/placement.js';
import { uuidv7 } from '../protocol/uuid.js';

/**
 * Sends one job, one attempt per turn: send → classify → next node, until a node has it or may have it, none is
 * left, or it is refused. Every attempt is committed before its request leaves, and its ending is committed with
 * the next attempt in one statement, so at any instant the store says where the job may be.
 *
 * | what the node did | what the loop does |
 * |---|---|
 * | accepted | done: the collector has it from here |
 * | no answer after sending | the node may have it: the collector asks for it, and says so if it is not there |
 * | 4xx | other nodes are asked too, since a node decides about proofs and addresses; all refuse → refused |
 * | JSON 5xx | one other node; the same again (or no other node) → refused: it may be the request's own fault |
 * | could not be reached, or a page came back | next node at once; the node is left alone for a while |
 * | 429 | next node; that route of the node rests (`RateBudget`), other routes go on, and the node gets no blame |
 *
 * With no node left the job goes back to be held; the scheduler releases it when a node can take it.
 *
 * Each attempt is counted on its node from the choice on. A trip that ends in any other way than `delivered`, by an
 * error too, leaves nothing counted: whoever finds the attempt later counts it again.
 */

/** A job on its way to a node. */
export interface Trip {
  readonly jobId: string;
  readonly containers: readonly string[];
  readonly features: readonly NodeFeature[];
  readonly avoid: readonly string[];
  readonly shun: readonly string[];
  readonly body: Buffer;
  readonly attempt: Attempt;
  readonly traceparent?: Traceparent | undefined;
  /** A node has answered it with a JSON 5xx on an earlier trip. */
  readonly erred: boolean;
  /** The application has its id: from now on the job can only end in a result. */
  acknowledged: boolean;
  /** Why no node will have it: it is being taken away again and must not be acknowledged any more. */
  refusal: Refusal | undefined;
}

/**
 * A trip of an acknowledged job that begins with this attempt.
 * @param erred whether a node answered it with a JSON 5xx on an earlier trip
 */
export function tripOf(
  { id, containers, features = NONE, avoid = NONE, shun = NONE }: JobNeeds,
  attempt: Attempt,
  body: Buffer,
  traceparent: Traceparent | undefined,
  erred = false,
): Trip {
  return {
    jobId: id,
    containers,
    features,
    avoid,
    shun,
    body,
    attempt,
    traceparent,
    erred,
    acknowledged: true,
    refusal: undefined,
  };
}

const NONE: readonly never[] = [];

/** A refusal to be passed on to the application. */
export interface Refusal {
  readonly status: number;
  readonly error: string;
  readonly params: Readonly<Record<string, unknown>>;
}

export type TripOutcome =
  /** A node has the job, or (`certain` false) may have it. */
  | {
      readonly kind: 'delivered';
      readonly attempt: Attempt;
      readonly nodeJobId: string;
      readonly certain: boolean;
    }
  /** It is `queued` again; `refusedBy` must not be offered it any more. `erred`: one of them answered with a JSON 5xx. */
  | { readonly kind: 'held'; readonly refusedBy: readonly string[]; readonly erred: boolean }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** Refused after it had been acknowledged: the job ended as failed. */
  | { readonly kind: 'failed' }
  /** The lease was lost or the job cancelled on the way: whoever has it now goes on. */
  | { readonly kind: 'abandoned' };

/** What the loop needs of the scheduler: a choice of nodes, and somebody to tell how they behave. */
export interface TripGuide {
  /** The node, if this replica may still work with it under that lease. */
  node(attempt: Attempt): FleetNode | undefined;
  /** Another node for the job, with the fence of its lease; it is counted there. */
  nextNode(
    trip: Trip,
    tried: ReadonlySet<string>,
  ): Pick<Attempt, 'nodeId' | 'fence' | 'decision'> | undefined;
  /** Whether a node that has not been asked may take what these refused, be it of another replica or down for now. */
  othersMayTake(trip: Trip, asked: readonly string[]): boolean;
  accepted(attempt: Attempt, containers: readonly string[]): void;
  unclear(attempt: Attempt): void;
  /** The node's answer ended the attempt, for whoever counts. */
  attemptEnded(attempt: Attempt, outcome: 'refused' | 'limited' | 'unreachable' | 'error'): void;
  /** @param fault whether the node is to blame */
  notAccepted(attempt: Attempt, containers: readonly string[], fault: boolean): void;
  /** The node has the job, but this trip does not follow it any more. */
  leftBehind(attempt: Attempt, containers: readonly string[]): void;
}

/** The JSON 5xx answers after which a request counts as at fault itself. */
const ERRORS_MEAN_REFUSED = 2;

export class AttemptLoop {
  constructor(
    private readonly senders: Pick<NodeSenders, 'submit'>,
    private readonly store: AttemptStore,
    private readonly commits: Commits,
    private readonly guide: TripGuide,
  ) {}

  /** Sends a job whose first attempt is committed. */
  async send(trip: Trip): Promise<TripOutcome> {
    const tried = new Set<string>();
    const refusedBy: string[] = [];
    let attempt = trip.attempt;
    let refusal: Refusal | undefined;
    let errors = Number(trip.erred);
    for (;;) {
      tried.add(attempt.nodeId);
      const node = this.guide.node(attempt);
      if (node === undefined) {
        this.guide.notAccepted(attempt, trip.containers, false);
        return { kind: 'abandoned' };
      }
      const reply = await this.attempt(trip, attempt, node);
      if (reply.kind === 'accepted') return this.takeAccepted(trip, attempt, reply.id);
      if (reply.kind === 'unclear') {
        this.guide.unclear(attempt);
        return { kind: 'delivered', attempt, nodeJobId: attempt.id, certain: false };
      }
      this.guide.attemptEnded(attempt, reply.kind);
      this.guide.notAccepted(attempt, trip.containers, reply.kind === 'unreachable');
      if (reply.kind === 'refused') {
        refusedBy.push(attempt.nodeId);
        refusal = { status: reply.status, error: reply.reason, params: reply.params };
      } else if (reply.kind === 'error') {
        errors += 1;
        refusedBy.push(attempt.nodeId);
        refusal ??= { status: 400, error: reply.reason, params: {} };
      }
      const ending = endingOf(reply);
      const nextNode = errors >= ERRORS_MEAN_REFUSED ? undefined : this.guide.nextNode(trip, tried);
      if (nextNode === undefined) {
        const elsewhere = errors < ERRORS_MEAN_REFUSED && this.guide.othersMayTake(trip, refusedBy);
        if (refusal === undefined || elsewhere) return this.hold(attempt, ending, refusedBy, errors > 0);
        return this.refuse(trip, attempt, ending, refusal);
      }
      const next: Attempt = {
        ...nextNode,
        id: uuidv7(),
        jobId: trip.jobId,
        number: attempt.number + 1,
      };
      // If only the lease of the next node was lost, the job is still ours; if it is not, this changes nothing either.
      if (!(await this.moveOn(trip, attempt, ending, next))) {
        return this.hold(attempt, ending, refusedBy, errors > 0);
      }
      attempt = next;
    }
  }

  private async moveOn(trip: Trip, from: Attempt, ending: AttemptEnding, next: Attempt): Promise<boolean> {
    let moved = false;
    try {
      moved = await this.commits.commit(() => this.store.moveOn(from, ending, next));
    } finally {
      if (!moved) this.guide.notAccepted(next, trip.containers, false);
    }
    return moved;
  }

  private async attempt(
    { body, traceparent }: Trip,
    attempt: Attempt,
    node: FleetNode,
  ): Promise<SubmitReply> {
    const span = beginAttemptSpan(traceparent, attempt, node);
    const reply = await this.senders.submit(node, withNodeJobId(body, attempt.id), span);
    const { kind } = reply;
    span?.end({ 'infernet.attempt.outcome': kind }, kind === 'accepted' ? undefined : kind);
    return reply;
  }

  private async takeAccepted(
    { containers }: Trip,
    attempt: Attempt,
    nodeJobId: string,
  ): Promise<TripOutcome> {
    this.guide.accepted(attempt, containers);
    if (nodeJobId === attempt.id) {
      // With our own id the node can be asked after a crash, so nothing hangs on this commit.
      this.commits.commit(() => this.store.noteAccepted(attempt)).catch(() => undefined);
    } else {
      await this.commits
        .commit(() => this.store.accepted(attempt, nodeJobId))
        .catch((error: unknown) => {
          this.guide.leftBehind(attempt, containers);
          throw error;
        });
    }
    return { kind: 'delivered', attempt, nodeJobId, certain: true };
  }

  private async hold(
    attempt: Attempt,
    ending: AttemptEnding,
    refusedBy: readonly string[],
    erred: boolean,
  ): Promise<TripOutcome> {
    const requeued = await this.commits.commit(() => this.store.requeue(attempt, ending));
    return requeued ? { kind: 'held', refusedBy, erred } : { kind: 'abandoned' };
  }

  private async refuse(
    trip: Trip,
    attempt: Attempt,
    ending: AttemptEnding,
    refusal: Refusal,
  ): Promise<TripOutcome> {
    if (trip.acknowledged) {
      await this.commits.commit(() => this.store.fail(attempt, trip.containers, ending, refusal.error));
      return { kind: 'failed' };
    }
    trip.refusal = refusal;
    await this.commits.commit(() => this.store.withdraw(trip.jobId));
    return { kind: 'refused', refusal };
  }
}

function endingOf(reply: Exclude<SubmitReply, { kind: 'accepted' | 'unclear' }>): AttemptEnding {
  switch (reply.kind) {
    case 'unreachable':
      return { state: 'unreachable', reason: `could not reach the node: ${reply.reason}` };
    case 'refused':
      return { state: 'refused', reason: `refused: ${reply.reason}` };
    case 'limited':
      return { state: 'unreachable', reason: `the node would not take it now: ${reply.reason}` };
    case 'error':
      return { state: 'failed', reason: `the node answered ${reply.reason}` };
  }
}
