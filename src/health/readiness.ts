import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { Fleet } from '../nodes/fleet.js';
import { DatabaseCheck, type DatabaseState } from '../persistence/database-check.js';
import { QueueCheck } from '../queue/queue-check.js';

/** What a load balancer in front is told. `required` parts decide; the others are there to be known. */
export interface ReadinessReport {
  readonly ready: boolean;
  readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly required: boolean }>>;
  readonly nodes: { readonly registered: number; readonly up: number };
}

interface Findings extends DatabaseState {
  readonly queue: boolean;
}

/** A store that takes longer than this to answer counts as away, in ms. */
const PATIENCE_MS = 2_000;
/** Findings are used again for this long, in ms: however often it is asked, the stores are not burdened. */
const FRESH_MS = 1_000;

/**
 * Whether this gateway should be sent requests. It needs the database, with this version's schema: without it no job can
 * be stored. It does not need the queue's store, whose duties it does itself meanwhile, nor any node: jobs are kept until
 * one comes up. If all gateways left because of a missing node, callers would get errors in place of accepted jobs.
 */
@Injectable()
export class Readiness {
  private stopping = false;
  private findings: Promise<Findings> | undefined;
  private lookedAtMs = -Infinity;

  constructor(
    private readonly database: DatabaseCheck,
    private readonly queue: QueueCheck,
    private readonly fleet: Fleet,
  ) {}

  /** A stop has begun: not ready from now on. */
  leave(): void {
    this.stopping = true;
  }

  /** Never throws; answers within two seconds or so. */
  async report(): Promise<ReadinessReport> {
    const { database, migrations, queue } = await this.look();
    const { nodes } = this.fleet;
    return {
      ready: database && migrations && !this.stopping,
      checks: {
        running: { ok: !this.stopping, required: true },
        database: { ok: database, required: true },
        migrations: { ok: migrations, required: true },
        queue: { ok: queue, required: false },
        nodes: { ok: nodes.some(({ health }) => health === 'up'), required: false },
      },
      nodes: { registered: nodes.length, up: nodes.filter(({ health }) => health === 'up').length },
    };
  }

  private look(): Promise<Findings> {
    if (this.findings === undefined || performance.now() - this.lookedAtMs > FRESH_MS) {
      this.lookedAtMs = performance.now();
      this.findings = this.lookNow();
    }
    return this.findings;
  }

  private async lookNow(): Promise<Findings> {
    const [state, queue] = await Promise.all([
      inTime(this.database.look(), { database: false, migrations: false }),
      inTime(this.queue.answers(), false),
    ]);
    return { ...state, queue };
  }
}

async function inTime<T>(answer: Promise<T>, otherwise: T): Promise<T> {
  const timeUp = new AbortController();
  const late = sleep(PATIENCE_MS, otherwise, { signal: timeUp.signal, ref: false }).catch(() => otherwise);
  return Promise.race([answer, late]).finally(() => timeUp.abort());
}
