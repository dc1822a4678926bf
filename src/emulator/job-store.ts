import { jsonString } from './reply.js';

/** Who a row belongs to: the caller's address (or the body's `ip`) and the job's id. */
export interface JobKey {
  readonly ip: string;
  readonly id: string;
}

interface Row {
  readonly id: string;
  readonly status: 'running' | 'success' | 'failed';
  /** JSON texts of the containers' results, in order; the last one is the job's result. */
  readonly results: readonly Buffer[];
  /** When a running row vanishes, in epoch ms. */
  readonly expiresAt: number;
}

/**
 * The node's Redis: one database of running rows that expire, one of completed rows that stay. Both are
 * keyed `<ip>:<id>`, so the same id may stand in both, and a second job of the same id overwrites.
 */
export class JobStore {
  readonly #pending = new Map<string, Row>();
  readonly #completed = new Map<string, Row>();

  /** @param pendingTtlMs lifetime of a running row; the reference node's is 15 minutes */
  constructor(readonly pendingTtlMs: number) {}

  /** Rows that count as pending in `/info`: of every caller, stuck ones included. */
  get pendingCount(): number {
    this.#expire();
    return this.#pending.size;
  }

  get completedCount(): number {
    return this.#completed.size;
  }

  setRunning({ ip, id }: JobKey): void {
    const key = `${ip}:${id}`;
    // Deleted first so that the rows stay in order of expiry.
    this.#pending.delete(key);
    this.#pending.set(key, { id, status: 'running', results: [], expiresAt: Date.now() + this.pendingTtlMs });
  }

  setFinished({ ip, id }: JobKey, status: 'success' | 'failed', results: readonly Buffer[]): void {
    this.#pending.delete(`${ip}:${id}`);
    this.#completed.set(`${ip}:${id}`, { id, status, results, expiresAt: Infinity });
  }

  /**
   * The JSON array of the rows of some ids: completed ones first, then running ones, each in the order
   * asked for; unknown ids are left out, repeated ids are repeated.
   */
  rows(ip: string, ids: readonly string[], intermediate: boolean): Buffer {
    this.#expire();
    const parts: Buffer[] = [];
    for (const database of [this.#completed, this.#pending]) {
      for (const id of ids) {
        const row = database.get(`${ip}:${id}`);
        if (row === undefined) continue;
        if (parts.length > 0) parts.push(Buffer.from(','));
        parts.push(...rowParts(row, intermediate));
      }
    }
    return Buffer.concat([Buffer.from('['), ...parts, Buffer.from(']')]);
  }

  /** Ids of one address. Like the node's, they are cut at a colon, for the key is split there. */
  ids(ip: string, which: 'pending' | 'completed' | 'both'): string[] {
    this.#expire();
    const keys = [
      ...(which === 'completed' ? [] : this.#pending.keys()),
      ...(which === 'pending' ? [] : this.#completed.keys()),
    ];
    return keys.filter((key) => key.startsWith(`${ip}:`)).map((key) => key.split(':')[1] ?? '');
  }

  /** What every start of a node does: running rows are gone, completed ones stay. */
  dropPending(): void {
    this.#pending.clear();
  }

  evictCompleted(): void {
    this.#completed.clear();
  }

  #expire(): void {
    const now = Date.now();
    for (const [key, row] of this.#pending) {
      if (row.expiresAt > now) return;
      this.#pending.delete(key);
    }
  }
}

function rowParts({ id, status, results }: Row, intermediate: boolean): Buffer[] {
  const parts: Buffer[] = [Buffer.from(`{"id":${jsonString(id)},`)];
  if (intermediate) {
    parts.push(Buffer.from('"intermediate_results":['));
    for (const [index, result] of results.slice(0, -1).entries()) {
      if (index > 0) parts.push(Buffer.from(','));
      parts.push(result);
    }
    parts.push(Buffer.from('],'));
  }
  parts.push(Buffer.from('"result":'), results.at(-1) ?? Buffer.from('null'));
  parts.push(Buffer.from(`,"status":"${status}"}`));
  return parts;
}
