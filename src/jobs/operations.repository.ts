import { Injectable } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { Prisma, type Attempt, type Job } from '../generated/prisma/client.js';
import { Database } from '../persistence/database.js';
import type { JobState } from './job-state.js';

/** A job and an attempt as they are stored. */
export type { Attempt as StoredAttempt, Job as StoredJobRow } from '../generated/prisma/client.js';

/** Which jobs an operator asks for; what is left out does not matter. */
export interface JobFilter {
  readonly status?: JobState | undefined;
  /** A node that an attempt was made on. */
  readonly node?: string | undefined;
  readonly container?: string | undefined;
  readonly caller?: string | undefined;
}

/** A result as operators see it: not the bytes, which may be many. */
export interface ResultPreview {
  readonly generation: number;
  readonly bytes: number;
  /** The beginning of the text. */
  readonly preview: string;
}

/** A job with everything that happened to it. */
export interface JobRecord {
  readonly job: Job;
  readonly attempts: readonly Attempt[];
  readonly nodeNames: ReadonlyMap<string, string>;
  readonly results: readonly ResultPreview[];
}

const PREVIEW_BYTES = 2_000;

/** Written out, because no partial index serves a state that comes as a parameter. */
const IN_STATE = {
  queued: Prisma.sql`state = 'queued'`,
  sending: Prisma.sql`state = 'sending' AND finished_at IS NULL`,
  running: Prisma.sql`state = 'running' AND finished_at IS NULL`,
  retrying: Prisma.sql`state = 'retrying'`,
  succeeded: Prisma.sql`state = 'succeeded'`,
  failed: Prisma.sql`state = 'failed'`,
  cancelled: Prisma.sql`state = 'cancelled'`,
} satisfies Record<JobState, Prisma.Sql>;

/** Operators' view of jobs, and what they may do to them. */
@Injectable()
export class OperationsRepository {
  constructor(
    private readonly database: Database,
    private readonly settings: Settings,
  ) {}

  /**
   * Newest first. Through an index by state and caller; a node or a container that few of the latest jobs had takes a
   * look at the history (docs/decisions/0020-flat-over-time.md). @param before only jobs that arrived before this one
   */
  async list(filter: JobFilter, before: string | undefined, limit: number): Promise<Job[]> {
    const { status, node, container, caller } = filter;
    const conditions = [
      before === undefined ? Prisma.sql`true` : Prisma.sql`id < ${before}::uuid`,
      ...(status === undefined ? [] : [IN_STATE[status]]),
      ...(caller === undefined ? [] : [Prisma.sql`caller = ${caller}`]),
      ...(container === undefined ? [] : [Prisma.sql`${container} = ANY(containers)`]),
      ...(node === undefined
        ? []
        : [
            Prisma.sql`EXISTS (SELECT 1 FROM attempts WHERE attempts.job_id = jobs.id AND node_id = ${node}::uuid)`,
          ]),
    ];
    const page = await this.database.$queryRaw<{ id: string }[]>`
      SELECT id FROM jobs WHERE ${Prisma.join(conditions, ' AND ')} ORDER BY id DESC LIMIT ${limit}`;
    return this.database.job.findMany({
      where: { id: { in: page.map(({ id }) => id) } },
      orderBy: { id: 'desc' },
    });
  }

  async find(id: string): Promise<JobRecord | undefined> {
    const found = await this.database.job.findUnique({
      where: { id },
      include: { attempts: { orderBy: { number: 'asc' } } },
    });
    if (found === null) return undefined;
    const { attempts, ...job } = found;
    const nodes = await this.database.node.findMany({
      where: { id: { in: attempts.map(({ nodeId }) => nodeId) } },
      select: { id: true, name: true },
    });
    const results = await this.database.$queryRaw<{ generation: number; bytes: number; head: Uint8Array }[]>`
      SELECT generation, octet_length(result) AS bytes, substring(result FROM 1 FOR ${PREVIEW_BYTES}) AS head
      FROM job_results WHERE job_id = ${id}::uuid ORDER BY generation`;
    return {
      job,
      attempts,
      nodeNames: new Map(nodes.map(({ id: nodeId, name }) => [nodeId, name])),
      results: results.map(({ generation, bytes, head }) => {
        return { generation, bytes, preview: Buffer.from(head).toString() };
      }),
    };
  }

  /** Any state that is not terminal → `cancelled`. @returns whether it was so */
  async cancel(id: string, result: (containers: readonly string[]) => Buffer): Promise<boolean> {
    const job = await this.database.job.findUnique({ where: { id }, select: { containers: true } });
    if (job === null) return false;
    const cancelled = await this.database.$executeRaw`
      WITH job AS (
        UPDATE jobs SET state = 'cancelled', finished_at = now(), retry_at = NULL
        WHERE id = ${id}::uuid AND num_nulls(finished_at) = 1 RETURNING id, generation)
      INSERT INTO job_results (job_id, generation, result)
      SELECT id, generation, ${result(job.containers)} FROM job`;
    return cancelled === 1;
  }

  /** `failed` or `cancelled` → `queued`, as a new generation with all its attempts and time; streams stay. @returns those that were */
  async retry(ids: readonly string[]): Promise<string[]> {
    const rows = await this.database.$queryRaw<{ id: string }[]>`
      UPDATE jobs SET state = 'queued', generation = generation + 1, failures = 0, finished_at = NULL,
             deadline_at = now() + make_interval(secs => ${this.settings.jobDeadline}::float8 / 1000)
      WHERE id = ANY(${ids}::uuid[]) AND state IN ('failed', 'cancelled') AND kind <> 'stream' RETURNING id`;
    return rows.map(({ id }) => id).sort();
  }
}
