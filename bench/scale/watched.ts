import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Caller } from '../live/caller.js';
import { usageBetween } from '../live/insight.js';
import type { Installation } from '../live/installation.js';
import { paced } from '../live/paced.js';

const JOB = { containers: ['delay'], data: {} };
const BATCH = 100;
/** A load goes on so long before it is measured, in ms. */
const LEAD_IN_MS = 400;
const POLL_MS = 100;
const ADMIN_TOKEN = 'an-admin-token-of-the-benchmarks';

/** Settings that a watched installation needs. */
export const WATCHED = { ADMIN_TOKEN, METRICS_ACCESS: 'open' };

/** What a gateway used while it did nothing but look after its nodes. */
export interface Idle {
  /** Processor time of its process, in µs for each second. */
  readonly cpuUsPerSecond: number;
  /** Requests to nodes, for each second. */
  readonly requestsPerSecond: number;
}

/** What it used under load; processor time without what it would have used idle. */
export interface Busy {
  readonly finished: number;
  readonly cpuUsPerJob: number;
}

/** An installation whose costs are measured. What is asked for that goes by the gateway, to its database. */
export class Watched {
  private readonly caller: Caller;

  private constructor(
    private readonly installation: Installation,
    private readonly database: pg.Client,
  ) {
    this.caller = new Caller(installation.url, { keepsConnections: true });
  }

  static async open(installation: Installation): Promise<Watched> {
    const database = new pg.Client({ connectionString: installation.databaseUrl });
    await database.connect();
    return new Watched(installation, database);
  }

  async close(): Promise<void> {
    this.caller.close();
    await this.database.end();
  }

  /** Waits until the gateway knows all that it asks its nodes when it begins with them. */
  async settled(nodes: number): Promise<void> {
    while ((await this.requestsToNodes('resources')) < nodes) await sleep(5 * POLL_MS);
  }

  async idle(ms: number): Promise<Idle> {
    const { insight } = this.installation;
    const requestsBefore = await this.requestsToNodes();
    const before = await insight.look();
    await sleep(ms);
    const used = usageBetween(before, await insight.look());
    const requests = (await this.requestsToNodes()) - requestsBefore;
    return {
      cpuUsPerSecond: (used.cpuUs * 1_000) / used.ms,
      requestsPerSecond: (requests * 1_000) / used.ms,
    };
  }

  /** Single submissions at a steady rate. @param idle what to take off */
  async busy(perSecond: number, ms: number, idle: Idle): Promise<Busy> {
    const { insight } = this.installation;
    const loading = paced(perSecond, LEAD_IN_MS + ms, () => this.caller.submit(JOB));
    await Promise.race([sleep(LEAD_IN_MS), loading]);
    const from = await this.now();
    const before = await insight.look();
    await Promise.race([sleep(ms), loading]);
    const used = usageBetween(before, await insight.look());
    const finished = await this.finishedSince(from);
    await loading;
    return { finished, cpuUsPerJob: (used.cpuUs - (idle.cpuUsPerSecond * used.ms) / 1_000) / finished };
  }

  /** Bytes that are really held: after a collection of all garbage. */
  async held(): Promise<{ heapBytes: number; rssBytes: number }> {
    const { heapUsedBytes, externalBytes, rssBytes } = await this.installation.insight.look({
      collect: true,
    });
    return { heapBytes: heapUsedBytes + externalBytes, rssBytes };
  }

  /** Hands in so many jobs in batches, no more than `open` unfinished, and waits for their end. */
  async finish(jobs: number, open: number): Promise<void> {
    let begun = 0;
    let unfinished = 0;
    while (begun < jobs || unfinished > 0) {
      while (begun < jobs && unfinished + BATCH <= open) {
        await this.caller.submitBatch(Array.from({ length: BATCH }, () => JOB));
        begun += BATCH;
        unfinished += BATCH;
      }
      await sleep(POLL_MS / 2);
      unfinished = await this.count('SELECT count(*) FROM jobs WHERE finished_at IS NULL');
    }
  }

  /** Puts waiting jobs into the database, and waits until the gateway holds them. */
  async queue(jobs: number): Promise<void> {
    await this.database.query(`
      CREATE TEMP TABLE waiting AS
      SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(i % 4096), 3, '0') ||
             '8' || lpad(to_hex(i), 15, '0'))::uuid AS id FROM generate_series(1, ${jobs}) AS i`);
    await this.database.query(`
      INSERT INTO jobs (id, caller, state, containers, requires_proof, deadline_at)
      SELECT id, 'somebody else', 'queued', ARRAY['delay'], false, now() + interval '1 day' FROM waiting`);
    await this.database.query(`
      INSERT INTO job_requests (job_id, body) SELECT id, '{"containers":["delay"],"data":{}}' FROM waiting`);
    await this.database.query('ANALYZE');
    // When a gateway's line to the others breaks, it reads what waits once it has a new one.
    await this.database.query(`
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'infernet-gateway broadcast'`);
    while ((await this.waiting()) < jobs * 0.99) await sleep(POLL_MS);
  }

  /** Its nodes get no new jobs until `resume`; resolves when they have done what they had. */
  async drain(): Promise<void> {
    await this.tellNodes('drain');
    while ((await this.count(`SELECT count(*) FROM attempts WHERE finished_at IS NULL`)) > 0)
      await sleep(POLL_MS);
  }

  async resume(): Promise<void> {
    await this.tellNodes('resume');
  }

  private async tellNodes(what: 'drain' | 'resume'): Promise<void> {
    const nodes = await this.database.query<{ id: string }>('SELECT id FROM nodes');
    for (const { id } of nodes.rows) {
      const reply = await fetch(`${this.installation.url}/admin/nodes/${id}/${what}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
      });
      if (!reply.ok) throw new Error(`${what} answered ${reply.status}`);
    }
  }

  private async waiting(): Promise<number> {
    const reply = await fetch(`${this.installation.url}/info`);
    return ((await reply.json()) as { pending: { offchain: number } }).pending.offchain;
  }

  private async requestsToNodes(route?: string): Promise<number> {
    const text = await (await fetch(`${this.installation.url}/metrics`)).text();
    return sumOf(text, 'infernet_gateway_node_requests_total', route === undefined ? '' : `route="${route}"`);
  }

  private async now(): Promise<string> {
    return (await this.database.query<{ now: string }>('SELECT now()::text AS now')).rows[0]?.now ?? '';
  }

  private async finishedSince(from: string): Promise<number> {
    return this.count('SELECT count(*) FROM jobs WHERE finished_at >= $1::timestamptz', [from]);
  }

  private async count(query: string, values: unknown[] = []): Promise<number> {
    return Number((await this.database.query<{ count: string }>(query, values)).rows[0]?.count);
  }
}

/** All series of a metric in Prometheus' text format that have this label, added up. */
export function sumOf(text: string, metric: string, label = ''): number {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `))
    .filter((line) => line.includes(label))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}
