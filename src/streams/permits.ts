import { Injectable } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { Dispatcher } from '../dispatch/dispatcher.js';
import type { Place } from '../dispatch/places.js';
import type { JobNeeds } from '../dispatch/policy/placement.js';
import { Broadcast } from '../persistence/broadcast.js';

/** What replicas tell each other of permits; every message names the stream, and the node where there is one. */
export type PermitNews =
  | { readonly is: 'ask'; readonly by: string; readonly job: JobNeeds }
  | { readonly is: 'withdrawn'; readonly id: string }
  | {
      readonly is: 'grant';
      readonly to: string;
      readonly id: string;
      readonly spot: Omit<Place, keyof Deeds>;
    }
  | { readonly is: 'accepted' | 'started'; readonly id: string; readonly nodeId: string }
  | {
      readonly is: 'left';
      readonly id: string;
      readonly nodeId: string;
      readonly left: Parameters<Place['leave']>;
    }
  /** Some of those that the sender still uses. */
  | { readonly is: 'held'; readonly ids: readonly string[] };

type Deeds = Pick<Place, 'accepted' | 'started' | 'leave' | 'handOver'>;

/** An unanswered question is repeated this often: news may be missed, and nodes come up. */
const ASK_EVERY_MS = 1_000;
/** Permits in use are confirmed this often, and one that was not for so long is void. */
const HELD_EVERY_MS = 3_000;
const VOID_AFTER_MS = 15_000;
/** So many are confirmed at once: the ids of a few hundred would not fit one message. */
const HELD_AT_ONCE = 100;

interface Granted {
  readonly place: Place;
  confirmedAt: number;
}

/**
 * Places on nodes that another replica works with. Only the lane's holder counts what is on a node, so a stream asks all
 * replicas for a permit, takes the first, and tells the one that gave it what becomes of it; then it talks to the node by
 * itself. News may be missed: questions are repeated, a permit whose holder is silent is void, and whoever got one too many
 * gives it back. The attempt carries the fencing number of the lease, so a permit from a lease that was lost starts nothing.
 */
@Injectable()
export class Permits {
  private readonly wanted = new Map<string, (place: Place) => void>();
  private readonly asked = new Map<string, AbortController>();
  private readonly granted = new Map<string, Granted>();
  /** Streams of this replica that go by a permit. */
  private readonly used = new Map<string, string>();
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly dispatcher: Dispatcher,
    private readonly broadcast: Broadcast,
    private readonly settings: Settings,
  ) {
    broadcast.on('permits', (news) => news.forEach((one) => this.hear(one as PermitNews)));
    this.timer = setInterval(() => this.runOnce(), HELD_EVERY_MS).unref();
  }

  /** Whether there is nobody to ask. */
  get alone(): boolean {
    return this.broadcast.audience === 0;
  }

  /** A place on a node of another replica; undefined when the signal aborts first. */
  async ask(job: JobNeeds, signal: AbortSignal): Promise<Place | undefined> {
    if (signal.aborted) return undefined;
    const { id } = job;
    const ask = (): void => this.tell({ is: 'ask', by: this.broadcast.origin, job });
    return new Promise((resolve) => {
      const settle = (place: Place | undefined): void => {
        clearInterval(again);
        signal.removeEventListener('abort', giveUp);
        this.wanted.delete(id);
        this.tell({ is: 'withdrawn', id });
        resolve(place);
      };
      const giveUp = (): void => settle(undefined);
      const again = setInterval(ask, ASK_EVERY_MS);
      signal.addEventListener('abort', giveUp);
      this.wanted.set(id, settle);
      ask();
    });
  }

  /** Says which permits are in use, and voids those of which nobody says so. */
  runOnce(): void {
    const ids = [...this.used.keys()];
    for (let from = 0; from < ids.length; from += HELD_AT_ONCE) {
      this.tell({ is: 'held', ids: ids.slice(from, from + HELD_AT_ONCE) });
    }
    for (const [key, { place, confirmedAt }] of this.granted) {
      if (Date.now() - confirmedAt < VOID_AFTER_MS) continue;
      this.granted.delete(key);
      place.leave('gone');
    }
  }

  /** Safe twice. */
  stop(): void {
    clearInterval(this.timer);
    for (const question of this.asked.values()) question.abort();
  }

  private hear(news: PermitNews): void {
    switch (news.is) {
      case 'ask':
        return void this.answer(news.job, news.by);
      case 'withdrawn':
        return this.asked.get(news.id)?.abort();
      case 'grant':
        return this.take(news);
      case 'accepted':
      case 'started':
        return this.granted.get(keyOf(news))?.place[news.is]();
      case 'left': {
        const key = keyOf(news);
        this.granted.get(key)?.place.leave(...news.left);
        this.granted.delete(key);
        return;
      }
      case 'held':
        for (const [key, one] of this.granted) {
          if (news.ids.includes(key.split(' ')[0] ?? '')) one.confirmedAt = Date.now();
        }
    }
  }

  /** Another replica wants a place on one of our nodes. */
  private async answer(job: JobNeeds, by: string): Promise<void> {
    const before = [...this.granted].find(([key]) => key.startsWith(`${job.id} `));
    // Asked again, it has not heard of the permit.
    if (before !== undefined) return this.grant(by, job.id, before[1].place);
    if (this.asked.has(job.id)) return;
    const question = new AbortController();
    const timer = setTimeout(() => question.abort(), this.settings.streamWaitMs);
    this.asked.set(job.id, question);
    const place = this.dispatcher.placeNow(job) ?? (await this.dispatcher.reserve(job, question.signal));
    clearTimeout(timer);
    this.asked.delete(job.id);
    if (place === undefined) return;
    this.granted.set(keyOf({ id: job.id, nodeId: place.nodeId }), { place, confirmedAt: Date.now() });
    this.grant(by, job.id, place);
  }

  private grant(to: string, id: string, { nodeId, fence, decision }: Place): void {
    this.tell({ is: 'grant', to, id, spot: { nodeId, fence, decision } });
  }

  private take({ to, id, spot }: PermitNews & { is: 'grant' }): void {
    const { nodeId } = spot;
    if (to !== this.broadcast.origin || this.used.get(id) === nodeId) return;
    let isLeft = false;
    const leave = (...left: Parameters<Place['leave']>): void => {
      if (isLeft) return;
      isLeft = true;
      if (this.used.get(id) === nodeId) this.used.delete(id);
      this.tell({ is: 'left', id, nodeId, left });
    };
    const settle = this.wanted.get(id);
    if (settle === undefined) return leave('gone');
    this.used.set(id, nodeId);
    settle({
      ...spot,
      accepted: () => this.tell({ is: 'accepted', id, nodeId }),
      started: () => this.tell({ is: 'started', id, nodeId }),
      leave,
      // The node's lane finds what is open there by itself.
      handOver: () => leave('gone'),
    });
  }

  private tell(news: PermitNews): void {
    void this.broadcast.publish('permits', [news]);
  }
}

function keyOf({ id, nodeId }: { readonly id: string; readonly nodeId: string }): string {
  return `${id} ${nodeId}`;
}
