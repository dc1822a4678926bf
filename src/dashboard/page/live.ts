import type { Api } from './api.js';
import { extended, NO_HISTORY } from './columns.js';
import type { Columns, NodeDetail, NodeRow, Stats, Totals } from './shapes.js';
import { EventParser, type ServerEvent } from './sse.js';

/** What the page knows of the gateway right now. A new object whenever something changes. */
export interface LiveState {
  readonly connection: 'connecting' | 'live' | 'lost';
  readonly totals: Totals | undefined;
  /** The last ten minutes. */
  readonly history: Columns;
  readonly nodes: readonly NodeRow[];
  /** Whether the nodes are known. */
  readonly nodesKnown: boolean;
  /** Goes up with each sample: time to look again at what is not told. */
  readonly tick: number;
  /** Jobs that ended just now. */
  readonly ended: readonly string[];
}

const START: LiveState = {
  connection: 'connecting',
  totals: undefined,
  history: NO_HISTORY,
  nodes: [],
  nodesKnown: false,
  tick: 0,
  ended: [],
};

const SPANS = 300;
/** The gateway says something every 15 s at the least; after so long without a word the connection is dead, in ms. */
const SILENCE_MS = 40_000;
const RECONNECT_MS = { first: 500, most: 8_000 };

/**
 * Follows the gateway's live changes, and connects again when the stream breaks: `connecting` → `live` → `lost` → `live`.
 * It reads the stream with `fetch`, because EventSource cannot send the token in a header.
 */
export class LiveFeed {
  private state = START;
  private lastId: string | undefined;
  private pauseMs = RECONNECT_MS.first;
  private readonly stopping = new AbortController();

  constructor(
    private readonly api: Api,
    private readonly onChange: (state: LiveState) => void,
  ) {}

  /** Follows until `stop`. */
  async start(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      await this.follow().catch(() => undefined);
      if (this.stopping.signal.aborted) return;
      this.change({ connection: 'lost' });
      await new Promise((resolve) => setTimeout(resolve, this.pauseMs * (0.75 + Math.random() / 2)));
      this.pauseMs = Math.min(RECONNECT_MS.most, this.pauseMs * 2);
    }
  }

  stop(): void {
    this.stopping.abort();
  }

  /** The answer to an action on a node, which comes before the stream tells of it. */
  nodeChanged({ id, url, name, state, approved, weight, maxInFlight, health, lastError }: NodeDetail): void {
    if (!this.state.nodes.some((node) => node.id === id)) return;
    const news = { id, url, name, state, approved, weight, maxInFlight, health, lastError };
    this.applyNodes({ changed: [news], removed: [] });
  }

  private async follow(): Promise<void> {
    const attempt = new AbortController();
    const signal = AbortSignal.any([attempt.signal, this.stopping.signal]);
    let silence = setTimeout(() => attempt.abort(), SILENCE_MS);
    try {
      const body = await this.api.events(this.lastId, signal);
      const reader = body.getReader();
      const parser = new EventParser();
      const decoder = new TextDecoder();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(() => attempt.abort(), SILENCE_MS);
        for (const event of parser.take(decoder.decode(value, { stream: true }))) this.take(event);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  private take({ name, data, id }: ServerEvent): void {
    if (id !== undefined) this.lastId = id;
    this.pauseMs = RECONNECT_MS.first;
    const content = JSON.parse(data) as unknown;
    if (name === 'stats') this.applyStats(content as Stats);
    else if (name === 'nodes') this.applyNodes(content as NodeNews);
    else if (name === 'jobs') this.change({ ended: (content as { ended: string[] }).ended });
  }

  private applyStats({ history, ...totals }: Stats): void {
    this.change({
      connection: 'live',
      totals,
      history: extended(this.state.history, history, SPANS),
      tick: this.state.tick + 1,
    });
  }

  private applyNodes(news: NodeNews): void {
    if ('all' in news) {
      this.change({ nodes: news.all, nodesKnown: true });
      return;
    }
    const nodes = new Map(this.state.nodes.map((node) => [node.id, node]));
    for (const id of news.removed) nodes.delete(id);
    for (const row of news.changed) nodes.set(row.id, { ...nodes.get(row.id), ...row } as NodeRow);
    this.change({ nodes: [...nodes.values()] });
  }

  private change(change: Partial<LiveState>): void {
    this.state = { ...this.state, ...change };
    this.onChange(this.state);
  }
}

type NodeNews =
  | { readonly all: readonly NodeRow[] }
  | {
      readonly changed: readonly (Pick<NodeRow, 'id'> & Partial<NodeRow>)[];
      readonly removed: readonly string[];
    };
