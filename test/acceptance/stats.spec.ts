import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestGateway, TestGateway, type TestFleet } from '../support/gateway.js';
import { json } from '../support/http.js';
import { waitUntil } from '../support/wait.js';

interface Period {
  readonly arrived: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly waitMs: { readonly p50: number | null; readonly p99: number | null };
  readonly serviceMs: { readonly p50: number | null; readonly p99: number | null };
}

type Column = (number | null)[];

interface Stats {
  readonly at: string | null;
  readonly error: string | null;
  readonly jobs: Record<'queued' | 'sending' | 'running' | 'retrying', number>;
  readonly nodes: Record<'total' | 'up' | 'down' | 'unknown' | 'draining', number>;
  readonly lastMinute: Period;
  readonly lastHour: Period;
  readonly lastDay: Period;
  readonly history: { readonly stepSeconds: number; readonly at: number[] } & Record<string, Column>;
}

const SERVICE_MS = 80;

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await startTestGateway({ nodes: [{ serviceMs: { delay: SERVICE_MS, echo: 0 }, slots: 4 }] });
});
afterAll(() => fleet.stop());

const statsOf = async (gateway: TestGateway, query = ''): Promise<Stats> =>
  json<Stats>(await gateway.admin('GET', `/stats${query}`));

const sum = (column: Column | undefined): number =>
  (column ?? []).reduce<number>((all, one) => all + (one ?? 0), 0);

describe('GET /admin/stats', () => {
  it('counts what came and how it ended, and for how long it waited and ran', async () => {
    const { gateway } = fleet;
    const before = await statsOf(gateway);
    const ids = await Promise.all([
      ...Array.from({ length: 6 }, () => gateway.submit(['delay'], { seconds: SERVICE_MS / 1_000 })),
      gateway.submit(['always-fails'], {}),
    ]);
    await gateway.finished(ids);
    const more = ({ history }: Stats, what: string): number => sum(history[what]) - sum(before.history[what]);
    const stats = await waitUntil('all are counted', async () => {
      const now = await statsOf(gateway);
      return more(now, 'succeeded') + more(now, 'failed') === 7 ? now : undefined;
    });
    expect(['arrived', 'succeeded', 'failed', 'cancelled'].map((what) => more(stats, what))).toEqual([
      7, 6, 1, 0,
    ]);
    for (const period of [stats.lastMinute, stats.lastHour, stats.lastDay]) {
      expect(period.succeeded).toBeGreaterThanOrEqual(6);
      expect(period.arrived).toBeGreaterThanOrEqual(7);
    }
    expect(stats.lastMinute.serviceMs.p99).toBeGreaterThanOrEqual(SERVICE_MS * 0.9);
    expect(stats.lastMinute.waitMs.p50).not.toBeNull();
    expect(stats).toMatchObject({ error: null, nodes: { total: 1, up: 1, down: 0, draining: 0 } });
    expect(stats.history['at']?.length).toBe(stats.history['waitP99Ms']?.length);
  });

  it('shows what waits and what runs', async () => {
    const { gateway, registered } = fleet;
    const slow = await Promise.all(
      Array.from({ length: 2 }, () => gateway.submit(['delay'], { seconds: 600 })),
    );
    await waitUntil('they run', async () => (await statsOf(gateway)).jobs.running === 2);
    await gateway.admin('POST', `/nodes/${registered[0]?.id}/drain`);
    const held = await gateway.submit(['echo'], {});
    const stats = await waitUntil('one waits', async () => {
      const now = await statsOf(gateway);
      return now.jobs.queued === 1 ? now : undefined;
    });
    expect(stats.nodes.draining).toBe(1);
    expect([stats.history['waiting']?.at(-1), stats.history['running']?.at(-1)]).toEqual([1, 2]);
    for (const id of [...slow, held]) await gateway.admin('POST', `/jobs/${id}/cancel`);
    await gateway.admin('POST', `/nodes/${registered[0]?.id}/resume`);
    await waitUntil(
      'three were cancelled',
      async () => sum((await statsOf(gateway)).history['cancelled']) === 3,
    );
  });

  it('knows the history after a restart', async () => {
    const { gateway } = fleet;
    await waitUntil('nothing is open', async () => {
      const { jobs } = await statsOf(gateway);
      return Object.values(jobs).every((count) => count === 0);
    });
    const before = await statsOf(gateway);
    await gateway.pause();
    await gateway.resume();
    const after = await waitUntil('the history is there', async () => {
      const now = await statsOf(gateway);
      return now.at === null ? undefined : now;
    });
    for (const what of ['arrived', 'succeeded', 'failed', 'cancelled']) {
      expect(sum(after.history[what]), what).toBe(sum(before.history[what]));
    }
    expect(Math.max(...(after.history['running'] ?? []).map(Number))).toBeGreaterThanOrEqual(2);
    expect(Math.max(...(after.history['serviceP99Ms'] ?? []).map(Number))).toBeGreaterThanOrEqual(
      SERVICE_MS * 0.9,
    );
    const day = await statsOf(gateway, '?history=24h');
    expect(day.history.stepSeconds).toBe(60);
    expect(day.lastDay.succeeded).toBe(before.lastDay.succeeded);
  });

  it('wants the token and a history that there is', async () => {
    expect((await fleet.gateway.send('/admin/stats')).status).toBe(401);
    expect((await fleet.gateway.send('/admin/events')).status).toBe(401);
    const reply = await fleet.gateway.admin('GET', '/stats?history=7d');
    expect([reply.status, json(reply)]).toEqual([400, expect.objectContaining({ field: 'history' })]);
  });
});

interface Event {
  readonly name: string;
  readonly id: string | undefined;
  readonly data: Record<string, unknown>;
}

/** Reads server-sent events as they come. */
class EventReader {
  readonly events: Event[] = [];
  private rest = '';

  private constructor(readonly response: IncomingMessage) {
    response.setEncoding('utf8');
    response.on('data', (text: string) => this.take(text));
  }

  static async open(gateway: TestGateway, headers: Record<string, string> = {}): Promise<EventReader> {
    const asked = request(`${gateway.url}/admin/events`, {
      headers: { authorization: `Bearer ${gateway.adminToken}`, ...headers },
    });
    asked.end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    return new EventReader(response);
  }

  /** The first event that fits, of those that came or will. */
  async find(what: string, fits: (event: Event) => boolean): Promise<Event> {
    return waitUntil(what, () => this.events.find(fits));
  }

  close(): void {
    this.response.destroy();
  }

  private take(text: string): void {
    const blocks = (this.rest + text).split('\n\n');
    this.rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const field = (name: string): string | undefined =>
        block
          .split('\n')
          .find((line) => line.startsWith(`${name}: `))
          ?.slice(name.length + 2);
      const name = field('event');
      if (name !== undefined) {
        this.events.push({ name, id: field('id'), data: JSON.parse(field('data') ?? '') as Event['data'] });
      }
    }
  }
}

describe('GET /admin/events', () => {
  it('starts with everything, then tells what changes', async () => {
    const { gateway, registered } = fleet;
    const id = registered[0]?.id as string;
    const reader = await EventReader.open(gateway);
    expect(reader.response.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
    });
    const first = await reader.find('all nodes', ({ name, data }) => name === 'nodes' && 'all' in data);
    expect(first.data['all']).toEqual([expect.objectContaining({ id, health: 'up', weight: 1 })]);
    await gateway.admin('PATCH', `/nodes/${id}`, { weight: 3 });
    const change = await reader.find('the change', ({ name, data }) => name === 'nodes' && 'changed' in data);
    expect(change.data).toEqual({ changed: [expect.objectContaining({ id, weight: 3 })], removed: [] });
    expect(Object.keys((change.data['changed'] as object[])[0] ?? {})).not.toContain('url');
    const job = await gateway.submit(['echo'], {});
    const ended = await reader.find('the end of the job', ({ name }) => name === 'jobs');
    expect(ended.data).toEqual({ ended: [job], count: 1 });
    reader.close();
  });

  it('gives a reader that comes again what it missed', async () => {
    const { gateway } = fleet;
    const reader = await EventReader.open(gateway);
    const last = await reader.find('figures', ({ name, id }) => name === 'stats' && id !== undefined);
    reader.close();
    const lastId = Number(last.id);
    await waitUntil(
      'time has passed',
      async () => ((await statsOf(gateway)).history.at.at(-1) ?? 0) * 1_000 > lastId,
    );
    const again = await EventReader.open(gateway, { 'last-event-id': String(lastId) });
    const resumed = await again.find('figures', ({ name }) => name === 'stats');
    const { at } = resumed.data['history'] as { at: number[] };
    expect(at).toContain(lastId / 1_000);
    expect(at.at(-1)).toBeGreaterThan(lastId / 1_000);
    // Not the ten minutes that a new reader gets.
    expect(at.length).toBeLessThan(20);
    again.close();
  });

  it('names a hundred of thousands of ended jobs, and counts the others', async () => {
    const { gateway } = fleet;
    const reader = await EventReader.open(gateway);
    await reader.find('the snapshot', ({ name }) => name === 'nodes');
    const jobs = Array.from({ length: 500 }, () => ({ containers: ['echo'], data: {} }));
    const ids = json<{ id: string }[]>(await gateway.postBatch(JSON.stringify(jobs))).map(({ id }) => id);
    await gateway.finished(ids);
    const told = (): Event[] => reader.events.filter(({ name }) => name === 'jobs');
    await waitUntil(
      'all are counted',
      () => told().reduce((all, { data }) => all + Number(data['count']), 0) === 500,
    );
    for (const { data } of told()) expect((data['ended'] as string[]).length).toBeLessThanOrEqual(100);
    reader.close();
  });

  it('ends when the gateway stops', async () => {
    const gateway = await TestGateway.start({ SHUTDOWN_BUDGET_MS: '60000' });
    const reader = await EventReader.open(gateway);
    await reader.find('the snapshot', ({ name }) => name === 'nodes');
    const ended = once(reader.response, 'end');
    await gateway.stop();
    expect(await ended).toEqual([]);
  });
});
