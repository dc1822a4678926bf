import { Breaker } from './ejection.js';
import type { Kind } from './kind.js';
import type { NodeState } from './node-state.js';
import { RoomProbe } from './room-probe.js';
import { SlownessEstimate, type SavedSlowness } from './service-times.js';
import { MOST_SLOTS, SlotLearner, type SavedSlots } from './slot-learner.js';

/** A job of ours on a node, from dispatch until its result is known. A list in order of dispatch. */
export interface Sent {
  readonly jobId: string;
  /** When the node took it; until then, when it was chosen. */
  sentAtMs: number;
  /** How many of its kind were there when it was sent. */
  readonly ahead: number;
  /** The same, itself included, and those that came right after it. */
  crowd: number;
  /** When a slot took it up, as far as can be told; NaN while it waits there. */
  startedAtMs: number;
  /** The node may have got it before; nothing is to be learned from how long it takes. */
  readonly adopted: boolean;
  rescued: boolean;
  /** It was seen to be in service. */
  shown: boolean;
  previous: Sent | undefined;
  next: Sent | undefined;
  /** An older attempt of the same job on the same node. */
  readonly older: Sent | undefined;
}

/** How a job ended on a node; only a success teaches anything about pace and slots. */
export type Ending =
  | 'succeeded'
  /** By the container itself, or with an answer of which nobody is to blame. */
  | 'failed'
  /** For reasons of infrastructure, or with an error disguised as a success. */
  | 'faulted'
  /** It is not there any more: lost, cancelled, taken back. */
  | 'gone';

/** How a job's end was seen. */
export interface Sighting {
  /** For how long it may have been over already when that was seen, in ms; 0 if ends are seen at once. */
  readonly unseenMs: number;
  /**
   * How many earlier jobs of its kind the node was still working on at that time. Left out: all that have not ended as
   * far as is known, which is right only where ends are seen at once, and in their order.
   */
  readonly overtook?: number | undefined;
}

/** What a restart keeps of a pair. */
export interface SavedPair {
  readonly slots: SavedSlots;
  readonly slowness: SavedSlowness;
}

/** Part of a service time during which those that come count as having been met. */
const CROWD_FORMS = 0.25;

/**
 * Where ends are seen late: part of a job's time on the node that has to be in doubt for it to tell that there is room, and
 * how many times as long as that doubt a job is there that tells that there is too much.
 */
const UNSEEN = { doubt: 0.5, queued: 4 };

/** How much longer than usual, and than ever, is suspicious. */
const SUSPICIOUS = { timesP99: 6, timesLongest: 2 };
/** A stream that gives nothing for so many times as long as others took to their first output waits for a slot. */
const WAITS_AFTER = 4;
/** A shorter time to the first output is taken for this long, in ms: networks and busy machines add as much. */
const LEAST_PROMPT_MS = 25;
/** How fast the shortest time to a first output is forgotten, for each stream. */
const PROMPTNESS_FADES = 1.05;

/** Jobs of one kind on one node: those that are there, and what was learned from those that were. */
export class Pair {
  readonly learner = new SlotLearner();
  readonly slowness = new SlownessEstimate();
  readonly breaker = new Breaker();
  /** Expected time in service, in ms, weight included. */
  serviceMs: number;
  /** What is expected of jobs that wait behind it in the order of speed: slots and jobs per ms of faster nodes. */
  fasterSlots = 0;
  fasterRate = 0;
  count = 0;
  lastSentMs = 0;
  lastEndedMs = 0;
  /** The last canary did better than expected: the next may follow soon. */
  promising = false;
  stuck = false;
  /** Jobs more than the slots, for those that end unseen between two looks at the node. */
  private room = 0;
  private roomChangedAtMs = -Infinity;
  /** The window was full at some time since `room` grew. */
  private wasFull = false;
  private readonly probe = new RoomProbe();
  private readonly byId = new Map<string, Sent>();
  private first: Sent | undefined;
  private last: Sent | undefined;
  /** The first that no slot has taken up yet. */
  private waiting: Sent | undefined;
  private inService = 0;
  /** Those that were seen to be in service. */
  private shown = 0;
  /** From when the node took a stream until its first output, in ms, where it did not wait. */
  private promptMs = Infinity;

  constructor(
    readonly node: NodeState,
    readonly kind: Kind,
    nowMs: number,
  ) {
    this.serviceMs = kind.work.meanMs / node.view.weight;
    this.lastEndedMs = nowMs;
    this.lastSentMs = nowMs;
  }

  /** Its failures, or the node's, keep it out or under trial, or nothing ends here. */
  get isDoubtful(): boolean {
    return this.stuck || this.breaker.isEjected() || this.node.breaker.isEjected();
  }

  get slots(): number {
    return this.node.summaryFor(this.kind.key)?.slots ?? this.learner.slots;
  }

  /** Jobs that may be here, before operators' limits. */
  get window(): number {
    return this.learner.window + this.unseen + this.probe.extra;
  }

  /** Jobs wait here: one more than the window may find out more. @returns whether there is room for one now */
  considerStall(nowMs: number): boolean {
    if (this.count === 0 || this.count < this.window) return false;
    const { shown, count, serviceMs } = this;
    return this.probe.consider(
      { allShown: shown === count, quietMs: nowMs - this.lastEndedMs, serviceMs },
      nowMs,
    );
  }

  /** Jobs that finish on the node before the gateway knows of it and the next ones are there. */
  private get unseen(): number {
    const { slots } = this.learner;
    const { collectsEveryMs, handoverMs } = this.node;
    const finished = ((collectsEveryMs + handoverMs) * slots) / this.serviceMs;
    const byService = Math.min(slots, Math.ceil(finished - 0.1));
    return Math.max(byService, this.room);
  }

  /**
   * Jobs shorter than the pause between two looks all seem to take as long as that, and their slots cannot be told. But
   * if the youngest of a full window has ended when the node is looked at, the node had started all and may have stood
   * idle since: the window doubles. A job that stays for several looks shows that jobs wait there.
   */
  private adjustRoom(sent: Sent, isYoungest: boolean, unseenMs: number, nowMs: number): void {
    const stayedMs = nowMs - sent.sentAtMs;
    if (isYoungest && this.wasFull && unseenMs >= UNSEEN.doubt * stayedMs) {
      this.room = Math.min(MOST_SLOTS, this.room + this.window);
      this.roomChangedAtMs = nowMs;
      this.wasFull = false;
    } else if (this.room > 0 && stayedMs > UNSEEN.queued * unseenMs && sent.sentAtMs > this.roomChangedAtMs) {
      this.room >>= 1;
      this.roomChangedAtMs = nowMs;
    }
  }

  /** Expected time until a job sent now is done, in ms. */
  expectedMs(nowMs: number): number {
    const { slots, starting } = this.learner;
    const others = starting ? this.node.foreign : 0;
    const over = Math.max(0, this.count + others + 1 - slots);
    const slotMs = over > 0 ? Math.max(this.serviceMs, this.standstillMs(nowMs)) : 0;
    return this.serviceMs + (slotMs * over) / slots + Math.max(0, this.node.budgetAtMs - nowMs);
  }

  /** For how long jobs have been here without one ending: long jobs have the slots, and will for about as long again. */
  private standstillMs(nowMs: number): number {
    return this.first === undefined ? 0 : nowMs - Math.max(this.lastEndedMs, this.first.sentAtMs);
  }

  estimate(nowMs: number): void {
    const { kind, node, slowness } = this;
    const told = node.summaryFor(kind.key)?.serviceMs;
    this.serviceMs = (told ?? kind.work.meanMs * slowness.at(nowMs, kind.work)) / node.view.weight;
  }

  has(jobId: string): boolean {
    return this.byId.has(jobId);
  }

  /** A job that runs for longer than this here is suspicious: far beyond what is usual, and beyond all that was seen. */
  get suspiciousMs(): number {
    const { work } = this.kind;
    const slowness = (this.serviceMs * this.node.view.weight) / work.meanMs;
    return slowness * Math.max(SUSPICIOUS.timesP99 * work.p99Ms, SUSPICIOUS.timesLongest * work.longestMs);
  }

  /** A job succeeded after so long in service. */
  learn(serviceMs: number, nowMs: number): void {
    const { work } = this.kind;
    this.promising = this.count === 0 && serviceMs < this.serviceMs / 3;
    if (this.slowness.learn(serviceMs, nowMs, work)) this.learner.paceChanged();
    work.learn(serviceMs, this.slowness.unshrunk(nowMs, work));
    this.estimate(nowMs);
  }

  add(jobId: string, nowMs: number, adopted = false): void {
    const sent: Sent = {
      jobId,
      sentAtMs: nowMs,
      ahead: this.count,
      crowd: this.count + 1,
      startedAtMs: Number.NaN,
      adopted,
      rescued: false,
      shown: false,
      previous: this.last,
      next: undefined,
      older: this.byId.get(jobId),
    };
    if (this.last === undefined) this.first = sent;
    else this.last.next = sent;
    this.last = sent;
    this.byId.set(jobId, sent);
    this.waiting ??= sent;
    this.count += 1;
    this.probe.sent();
    this.lastSentMs = nowMs;
    if (this.count >= this.window) this.wasFull = true;
    this.fillSlots(nowMs);
    if (this.learner.sharing || this.learner.starting) this.growCrowd(nowMs);
  }

  /** The node has it now; until then it waited for the node's rate budget, say, or for its batch. */
  accepted(jobId: string, nowMs: number): void {
    const sent = this.byId.get(jobId);
    if (sent === undefined || sent.adopted) return;
    this.node.tookAfter(nowMs - sent.sentAtMs);
    sent.sentAtMs = nowMs;
    if (!Number.isNaN(sent.startedAtMs)) sent.startedAtMs = Math.max(sent.startedAtMs, nowMs);
  }

  /** It shows that it is in service. @returns whether there is room for more since */
  started(jobId: string, nowMs: number): boolean {
    const sent = this.byId.get(jobId);
    if (sent === undefined || sent.shown) return false;
    sent.shown = true;
    this.shown += 1;
    this.promptMs = Math.min(
      Math.max(LEAST_PROMPT_MS, nowMs - sent.sentAtMs),
      this.promptMs * PROMPTNESS_FADES,
    );
    if (!this.learner.seenAtOnce(this.shown)) return this.considerStall(nowMs);
    this.probe.found();
    this.backdate();
    this.fillSlots(nowMs);
    return true;
  }

  /** @returns how long it was in service, in ms, if that says something */
  remove(jobId: string, succeeded: boolean, nowMs: number, seen: Sighting): number | undefined {
    const { unseenMs, overtook } = seen;
    const newest = this.byId.get(jobId);
    if (newest === undefined) return undefined;
    const isYoungest = this.last === newest;
    const sent = this.unlink(newest);
    this.lastEndedMs = nowMs;
    if (succeeded && !sent.adopted) this.adjustRoom(sent, isYoungest && sent === newest, unseenMs, nowMs);
    const endedMs = nowMs - unseenMs / 2;
    if (!succeeded || sent.adopted) {
      this.fillSlots(endedMs);
      return undefined;
    }
    const count = this.count + 1;
    const before = this.learner.slots;
    // What gave output has proven its slot by that; how long it took is a matter of how much it had to say.
    const shares = sent.shown
      ? this.learner.streamed(count > before && this.isOneWaiting(nowMs), this.kind.work.logVariance)
      : this.learner.succeeded({
          position: count > before ? (overtook === undefined ? this.positionOf(sent) : overtook + 1) : 1,
          crowd: sent.crowd,
          count,
          durationMs: Math.max(1, endedMs - sent.sentAtMs),
          variance: this.kind.work.logVariance,
        });
    // Service times from the crowd that showed the sharing say nothing about a node that is not crowded.
    if (shares) this.slowness.forget();
    // A job that was not thought to be in service was, since it came, if a slot is known for it now.
    const start = Number.isNaN(sent.startedAtMs) ? sent.sentAtMs : sent.startedAtMs;
    const started = sent.ahead < this.learner.slots || !Number.isNaN(sent.startedAtMs);
    if (this.learner.slots > before) {
      this.probe.found();
      this.backdate();
    }
    this.fillSlots(endedMs);
    if (this.count === 0 && this.learner.idle()) this.slowness.doubt();
    // While slots may be missing, nobody knows since when a job was served that came when all were taken.
    const unsure = this.learner.starting && sent.ahead >= this.learner.slots;
    if (!started || unsure || sent.rescued || shares) return undefined;
    const crowding = this.learner.sharing ? Math.max(1, sent.crowd / this.learner.slots) : 1;
    // Of what ended at some time since the last look, no more is known than that.
    const inDoubt = unseenMs >= UNSEEN.doubt * (nowMs - start);
    return Math.max(1, inDoubt ? unseenMs / 2 : endedMs - start) / crowding;
  }

  /** Jobs that are in service for longer than `limitMs`; undefined unless all that are in service are. */
  allOlderThan(limitMs: number, nowMs: number): Sent[] | undefined {
    const old: Sent[] = [];
    let sent = this.first;
    for (let left = this.inService; sent !== undefined && left > 0; left -= 1) {
      if (!(nowMs - sent.startedAtMs > limitMs)) return undefined;
      old.push(sent);
      sent = sent.next;
    }
    return old.length >= Math.min(this.count, this.learner.slots) ? [...this.all()] : undefined;
  }

  /** Forgets the jobs, keeps what was learned. If one of them was on trial, nothing comes of that any more. */
  clear(): void {
    this.breaker.trialSaidNothing();
    this.byId.clear();
    this.first = this.last = this.waiting = undefined;
    this.count = this.inService = this.shown = 0;
    this.stuck = false;
  }

  save(): SavedPair {
    return { slots: this.learner.save(), slowness: this.slowness.save() };
  }

  restore({ slots, slowness }: SavedPair, nowMs: number): void {
    this.learner.restore(slots);
    this.slowness.restore(slowness, nowMs);
  }

  /** Whether a job gives no output for so long that it must wait for a slot; one that was just sent may be on its way to it. */
  private isOneWaiting(nowMs: number): boolean {
    if (this.shown === this.count) return false;
    for (const { shown, sentAtMs } of this.all()) {
      if (!shown) return nowMs - sentAtMs > WAITS_AFTER * this.promptMs;
    }
    return false;
  }

  private *all(): Generator<Sent> {
    for (let sent = this.first; sent !== undefined; sent = sent.next) yield sent;
  }

  /** Where jobs share a processor, those that came just before one more share it with that one too. */
  private growCrowd(nowMs: number): void {
    const recent = nowMs - CROWD_FORMS * this.serviceMs;
    for (let sent = this.last; sent !== undefined && sent.sentAtMs >= recent; sent = sent.previous) {
      sent.crowd = Math.max(sent.crowd, this.count);
    }
  }

  private unlink(newest: Sent): Sent {
    // Of several attempts of a job here, the oldest is the one that ended.
    let sent = newest;
    while (sent.older !== undefined && this.isLinked(sent.older)) sent = sent.older;
    if (sent === newest) this.byId.delete(sent.jobId);
    if (sent.previous === undefined) this.first = sent.next;
    else sent.previous.next = sent.next;
    if (sent.next === undefined) this.last = sent.previous;
    else sent.next.previous = sent.previous;
    if (this.waiting === sent) this.waiting = sent.next;
    if (!Number.isNaN(sent.startedAtMs)) this.inService -= 1;
    if (sent.shown) this.shown -= 1;
    this.count -= 1;
    return sent;
  }

  private isLinked(sent: Sent): boolean {
    return this.first === sent || sent.previous?.next === sent;
  }

  /** Its place among the unfinished in order of dispatch, from 1; `sent` is not linked any more. */
  private positionOf(sent: Sent): number {
    let position = 1;
    for (let earlier = sent.previous; earlier !== undefined; earlier = earlier.previous) position += 1;
    return position;
  }

  /** More slots are known: those that came when there was room among them have been running since. */
  private backdate(): void {
    for (let sent = this.waiting; sent !== undefined; sent = sent.next) {
      if (sent.ahead >= this.learner.slots) return;
      this.start(sent, sent.sentAtMs);
    }
  }

  private fillSlots(nowMs: number): void {
    while (this.waiting !== undefined && this.inService < this.learner.slots) this.start(this.waiting, nowMs);
  }

  private start(sent: Sent, atMs: number): void {
    sent.startedAtMs = Math.max(atMs, sent.sentAtMs);
    this.inService += 1;
    this.waiting = sent.next;
  }
}
