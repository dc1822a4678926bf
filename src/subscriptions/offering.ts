import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { messageOf } from '../errors.js';
import { Fleet } from '../nodes/fleet.js';
import type { FleetNode } from '../nodes/node.js';
import type { DelegationReply } from '../nodes/node-replies.js';
import { NodeSenders } from '../nodes/node-senders.js';
import { Broadcast } from '../persistence/broadcast.js';
import { Commits } from '../persistence/commits.js';
import {
  OffersRepository,
  type ClaimedOffer,
  type MadeOffer,
  type OfferEnding,
} from './offers.repository.js';
import { placing } from './placing.js';
import { RetryMessages } from './retry-messages.js';
import { SubscriptionNodes, type Refusal } from './subscription-nodes.js';

/** Somebody who waits to hear whether a subscription is taken. */
interface Waiter {
  readonly refusals: Refusal[];
  readonly resolve: (refusal: Refusal | undefined) => void;
}

/** Nodes that come up together need one look at what waits, in ms. */
const GATHER_MS = 50;

/**
 * Offers open subscriptions to nodes until enough of them have accepted; the states are in subscription-state.ts. It
 * sends only to nodes that are leased to this replica, and tells the others of offers to theirs.
 */
@Injectable()
export class Offering {
  private readonly log = new Logger(Offering.name);
  /** Offers that are on their way, with their subscriptions. */
  private readonly flying = new Map<string, string>();
  private readonly flights = new Set<Promise<void>>();
  private readonly waiters = new Map<string, Set<Waiter>>();
  private readonly changed = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private stopping = false;

  constructor(
    private readonly offers: OffersRepository,
    private readonly nodes: SubscriptionNodes,
    private readonly senders: NodeSenders,
    private readonly commits: Commits,
    private readonly messages: RetryMessages,
    private readonly broadcast: Broadcast,
    private readonly fleet: Fleet,
    private readonly settings: Settings,
  ) {
    // A node came up, was taken over, or has other containers.
    fleet.on('changed', (node) => this.lookSoon(node));
    broadcast.on('offers', (nodeIds) => this.attempt(() => this.takeUp(nodeIds)));
    broadcast.on('connected', () => this.attempt(() => this.takeUp(fleet.nodes.map(({ id }) => id))));
  }

  /**
   * Sends the offers of a subscription just committed.
   * @returns undefined as soon as a node has it, may have it, or is to get it later; the refusal if none will
   */
  async begin(subscriptionId: string, offers: readonly MadeOffer[]): Promise<Refusal | undefined> {
    const waiters = this.waiters.get(subscriptionId) ?? new Set();
    this.waiters.set(subscriptionId, waiters);
    const answer = new Promise<Refusal | undefined>((resolve) => waiters.add({ refusals: [], resolve }));
    this.dispatch(subscriptionId, offers);
    // With nothing to send there is nothing to wait for.
    this.tell(subscriptionId, 'open');
    return answer;
  }

  /**
   * Gives the free places of a subscription to nodes and sends what is due. Throws when the database is away.
   * @param when `due`: a message said so, and nothing is done if it is outdated
   */
  async advance(subscriptionId: string, when: 'now' | 'due' = 'now'): Promise<void> {
    const placed = await this.offers.place(subscriptionId, when, ({ containers, redundancy }, offers) => {
      const decision = placing(redundancy, offers, this.nodes.candidates(containers));
      this.nodes.gave(decision.start);
      return decision;
    });
    if (placed === undefined) return this.tell(subscriptionId, 'open');
    this.dispatch(subscriptionId, placed.due);
    if (placed.state === 'open') void this.messages.announce(subscriptionId, placed.checkInMs);
    if (placed.state === 'refused') this.log.warn(`No node takes the subscription ${subscriptionId}`);
    this.tell(subscriptionId, placed.state);
  }

  /** Sends what is due to those of these nodes that this replica works with. */
  async takeUp(nodeIds: readonly string[]): Promise<void> {
    for (const nodeId of nodeIds) {
      const node = this.fleet.get(nodeId);
      if (node?.lease === undefined || !node.leased || this.stopping) continue;
      const due = await this.offers.dueAt(nodeId, node.lease.fence, [...this.flying.keys()]);
      for (const { id, subscriptionId } of due) this.send(id, node, subscriptionId);
    }
  }

  /** Finds subscriptions that everybody has lost sight of. */
  async sweep(): Promise<void> {
    const expired = await this.offers.expire();
    if (expired > 0) this.log.warn(`Gave up offering ${expired} subscriptions past their deadline`);
    for (const id of await this.offers.overdue()) await this.advance(id);
    const nodeIds = await this.offers.overdueNodes();
    await this.takeUp(nodeIds);
    await this.broadcast.publish('offers', nodeIds);
  }

  /** Sends nothing new; waits for what is on its way, at most `budgetMs`. Safe to call twice. */
  async stop(budgetMs: number): Promise<void> {
    this.stopping = true;
    clearTimeout(this.timer);
    const settled = Promise.allSettled(this.flights);
    await Promise.race([settled, sleep(budgetMs, undefined, { ref: false })]);
  }

  /** Whether nothing new is taken any more. */
  get isStopping(): boolean {
    return this.stopping;
  }

  private dispatch(subscriptionId: string, offers: readonly MadeOffer[]): void {
    const elsewhere: string[] = [];
    for (const { id, nodeId } of offers) {
      const node = this.fleet.get(nodeId);
      if (node?.leased === true) this.send(id, node, subscriptionId);
      else elsewhere.push(nodeId);
    }
    void this.broadcast.publish('offers', elsewhere);
  }

  private send(offerId: string, node: FleetNode, subscriptionId: string): void {
    if (this.stopping || this.flying.has(offerId)) return;
    this.flying.set(offerId, subscriptionId);
    const flight = this.fly(offerId, subscriptionId, node)
      .catch((error: unknown) => this.log.error({ err: error }, `Offer ${offerId} was left on its way`))
      .finally(() => {
        this.flying.delete(offerId);
        this.flights.delete(flight);
        this.tell(subscriptionId, 'open');
      });
    this.flights.add(flight);
  }

  private async fly(offerId: string, subscriptionId: string, node: FleetNode): Promise<void> {
    const { lease } = node;
    if (lease === undefined) return;
    const claimed = await this.commits.commit(() => this.offers.claim(offerId, lease.fence));
    if (claimed === undefined) return;
    const reply = await this.senders.submitDelegated(node, claimed.body);
    if (reply.kind === 'unreachable' || reply.kind === 'unclear') this.nodes.failed(node.id);
    if (reply.kind === 'accepted') {
      this.tell(subscriptionId, 'accepted');
      if (await this.commits.commit(() => this.offers.accept(offerId))) return;
    } else await this.commits.commit(() => this.offers.end(claimed, this.endingOf(reply, claimed)));
    this.flying.delete(offerId);
    if (reply.kind === 'unclear') this.tell(subscriptionId, 'accepted');
    else if (reply.kind === 'refused' || reply.kind === 'error') {
      for (const { refusals } of this.waiters.get(subscriptionId) ?? []) refusals.push(refusalOf(reply));
    }
    await this.commits.commit(() => this.advance(subscriptionId));
  }

  private endingOf(
    reply: Exclude<DelegationReply, { kind: 'accepted' }>,
    { failures, unclearMs }: ClaimedOffer,
  ): OfferEnding {
    switch (reply.kind) {
      case 'refused':
        return { state: 'refused', reason: `refused: ${reply.reason}` };
      case 'error':
        return { state: 'refused', reason: `the node answered ${reply.reason}` };
      case 'limited': {
        const reason = `the node would not take it now: ${reply.reason}`;
        // What the node may have stays with it.
        const state = unclearMs > 0 ? 'pending' : 'unreachable';
        return { state, reason, pauseMs: reply.pauseMs, failed: false, unclear: false };
      }
      case 'unreachable':
      case 'unclear': {
        const unclear = reply.kind === 'unclear';
        const reason = unclear
          ? `no answer, so the node may have it: ${reply.reason}`
          : `could not reach the node: ${reply.reason}`;
        const mayHaveIt = unclear || unclearMs > 0;
        const isSilent = unclearMs > this.settings.noAnswerMs;
        const state = !mayHaveIt ? 'unreachable' : isSilent ? 'lost' : 'pending';
        return { state, reason, pauseMs: this.pauseMs(failures), failed: true, unclear };
      }
    }
  }

  /** Doubles with each failure, less a random part of up to half. */
  private pauseMs(failures: number): number {
    const { retryBaseMs, retryMaxMs } = this.settings;
    return Math.min(retryMaxMs, retryBaseMs * 2 ** Math.min(failures, 30)) * (0.5 + Math.random() / 2);
  }

  /** Answers those who wait for a subscription, if it is known by now what to say. */
  private tell(subscriptionId: string, state: 'open' | 'accepted' | 'refused'): void {
    const waiters = this.waiters.get(subscriptionId);
    if (waiters === undefined) return;
    // While an offer is on its way a refusal may still come, or an acceptance.
    if (state === 'open' && [...this.flying.values()].includes(subscriptionId)) return;
    this.waiters.delete(subscriptionId);
    for (const { resolve, refusals } of waiters) {
      const byRule = refusals.find(({ status }) => status !== BROKEN_STATUS);
      resolve(state === 'refused' ? (byRule ?? refusals[0]) : undefined);
    }
  }

  private lookSoon({ id }: FleetNode): void {
    if (this.stopping) return;
    this.changed.add(id);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      const nodeIds = [...this.changed];
      this.changed.clear();
      this.attempt(async () => {
        await this.takeUp(nodeIds);
        for (const subscriptionId of await this.offers.unplaced()) await this.advance(subscriptionId);
      });
    }, GATHER_MS);
  }

  private attempt(act: () => Promise<void>): void {
    act().catch((error: unknown) => this.log.warn(`Subscriptions were not looked at: ${messageOf(error)}`));
  }
}

/** A request that a node fails over is answered like one that is malformed. */
const BROKEN_STATUS = 400;

function refusalOf(reply: Extract<DelegationReply, { kind: 'refused' | 'error' }>): Refusal {
  if (reply.kind === 'error') return { status: BROKEN_STATUS, error: reply.reason, params: {} };
  return { status: reply.status, error: reply.reason, params: reply.params };
}
