import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import {
  AttemptStore,
  type AttemptEnding,
  type ClaimedJob,
  type NewAttempt,
  type NewJob,
} from '../dispatch/attempt-store.js';
import { Database } from '../persistence/database.js';
import { WriteGroup } from '../persistence/write-group.js';
import { failureResult } from './job-state.js';
import { ResultsStore } from './results-store.js';

interface Admission {
  readonly job: NewJob;
  readonly first: NewAttempt | undefined;
}

interface Claim {
  readonly jobId: string;
  readonly nodeId: string;
}

interface Acceptance {
  readonly attempt: NewAttempt;
  readonly nodeJobId: string | undefined;
}

interface ClaimRow {
  readonly id: string;
  readonly job_id: string;
  readonly node_id: string;
  readonly number: number;
  readonly body: Uint8Array;
}

/**
 * The transitions of jobs and attempts in PostgreSQL. What happens to every job goes through group commits, one
 * statement for many jobs; what happens seldom has a statement of its own. Each is one statement, hence atomic, and
 * carries the state it expects, so that whoever comes second changes nothing.
 */
@Injectable()
export class AttemptsRepository extends AttemptStore {
  private readonly admissions: WriteGroup<Admission, void>;
  private readonly claims: WriteGroup<Claim, ClaimedJob | undefined>;
  private readonly acceptances: WriteGroup<Acceptance, void>;

  constructor(
    private readonly database: Database,
    private readonly results: ResultsStore,
  ) {
    super();
    this.admissions = new WriteGroup<Admission, void>({
      name: 'admissions',
      flush: (items) => this.writeAdmissions(items),
      sizeOf: ({ job }) => job.body.length,
      concurrency: 2,
    });
    this.claims = new WriteGroup<Claim, ClaimedJob | undefined>({
      name: 'claims',
      flush: (items) => this.writeClaims(items),
      maxItems: 100,
    });
    this.acceptances = new WriteGroup<Acceptance, void>({
      name: 'acceptances',
      flush: (items) => this.writeAcceptances(items),
    });
  }

  async admit(job: NewJob, first: NewAttempt | undefined): Promise<void> {
    await this.admissions.add({ job, first });
  }

  async claim(jobId: string, nodeId: string): Promise<ClaimedJob | undefined> {
    return this.claims.add({ jobId, nodeId });
  }

  async accepted(attempt: NewAttempt, nodeJobId: string | undefined): Promise<void> {
    await this.acceptances.add({ attempt, nodeJobId });
  }

  async moveOn(attempt: NewAttempt, ending: AttemptEnding, next: NewAttempt): Promise<void> {
    await this.database.$executeRaw`
      WITH ended AS (
        UPDATE attempts SET state = ${ending.state}::attempt_state, reason = ${ending.reason}, finished_at = now()
        WHERE id = ${attempt.id}::uuid AND finished_at IS NULL)
      INSERT INTO attempts (id, job_id, node_id, number, state)
      SELECT ${next.id}::uuid, id, ${next.nodeId}::uuid, ${next.number}, 'sending' FROM jobs
      WHERE id = ${next.jobId}::uuid AND state = 'sending'`;
  }

  async requeue(attempt: NewAttempt, ending: AttemptEnding): Promise<void> {
    await this.database.$executeRaw`
      WITH ended AS (
        UPDATE attempts SET state = ${ending.state}::attempt_state, reason = ${ending.reason}, finished_at = now()
        WHERE id = ${attempt.id}::uuid AND finished_at IS NULL)
      UPDATE jobs SET state = 'queued' WHERE id = ${attempt.jobId}::uuid AND state IN ('sending', 'running')`;
  }

  async fail(
    attempt: NewAttempt,
    containers: readonly string[],
    ending: AttemptEnding,
    error: string,
  ): Promise<void> {
    await this.results.finish({
      attempt,
      attemptState: ending.state,
      state: 'failed',
      reason: ending.reason,
      result: failureResult(containers, error),
      intermediate: null,
    });
  }

  async withdraw(jobId: string): Promise<void> {
    await this.database.$executeRaw`DELETE FROM jobs WHERE id = ${jobId}::uuid AND state = 'sending'`;
  }

  private async writeAdmissions(items: readonly Admission[]): Promise<void[]> {
    const jobs = items.map(({ job }) => job);
    await this.database.$executeRaw`
      WITH input AS (
        SELECT * FROM unnest(
          ${jobs.map((job) => job.id)}::uuid[],
          ${jobs.map((job) => job.caller)}::text[],
          ${jobs.map((job) => JSON.stringify(job.containers))}::text[],
          ${jobs.map((job) => job.requiresProof)}::bool[],
          ${items.map(({ first }) => first?.nodeId ?? null)}::uuid[],
          ${jobs.map((job) => job.body)}::bytea[]
        ) AS t(id, caller, containers, requires_proof, node_id, body)),
      job AS (
        INSERT INTO jobs (id, caller, state, containers, requires_proof)
        SELECT id, caller, (CASE WHEN node_id IS NULL THEN 'queued' ELSE 'sending' END)::job_state,
               ARRAY(SELECT json_array_elements_text(containers::json)), requires_proof
        FROM input),
      request AS (INSERT INTO job_requests (job_id, body) SELECT id, body FROM input)
      INSERT INTO attempts (id, job_id, node_id, number, state)
      SELECT id, id, node_id, 1, 'sending' FROM input WHERE node_id IS NOT NULL`;
    return items.map(() => undefined);
  }

  private async writeClaims(items: readonly Claim[]): Promise<(ClaimedJob | undefined)[]> {
    // The first attempt's node-side id is the job's own id; later ones are new.
    const rows = await this.database.$queryRaw<ClaimRow[]>`
      WITH input AS (
        SELECT * FROM unnest(
          ${items.map(({ jobId }) => jobId)}::uuid[],
          ${items.map(({ nodeId }) => nodeId)}::uuid[],
          ${items.map(() => uuidv7())}::uuid[]
        ) AS t(job_id, node_id, fresh_id)),
      won AS (
        UPDATE jobs SET state = 'sending' FROM input
        WHERE jobs.id = input.job_id AND jobs.state = 'queued' RETURNING jobs.id),
      before AS (
        SELECT won.id AS job_id, coalesce(max(attempts.number), 0) AS number
        FROM won LEFT JOIN attempts ON attempts.job_id = won.id GROUP BY won.id),
      attempt AS (
        INSERT INTO attempts (id, job_id, node_id, number, state)
        SELECT CASE WHEN number = 0 THEN job_id ELSE fresh_id END, job_id, node_id, number + 1, 'sending'
        FROM input JOIN before USING (job_id)
        RETURNING id, job_id, node_id, number)
      SELECT attempt.*, job_requests.body FROM attempt JOIN job_requests USING (job_id)`;
    const byJob = new Map(rows.map((row) => [row.job_id, row]));
    return items.map(({ jobId }) => {
      const row = byJob.get(jobId);
      if (row === undefined) return undefined;
      const attempt = { id: row.id, jobId, nodeId: row.node_id, number: row.number };
      return { attempt, body: Buffer.from(row.body) };
    });
  }

  private async writeAcceptances(items: readonly Acceptance[]): Promise<void[]> {
    await this.database.$executeRaw`
      WITH input AS (
        SELECT * FROM unnest(
          ${items.map(({ attempt }) => attempt.id)}::uuid[],
          ${items.map(({ attempt }) => attempt.jobId)}::uuid[],
          ${items.map(({ nodeJobId }) => nodeJobId ?? null)}::text[]
        ) AS t(id, job_id, node_job_id)),
      running AS (
        UPDATE attempts SET state = 'running', accepted_at = now(), node_job_id = input.node_job_id FROM input
        WHERE attempts.id = input.id AND attempts.state = 'sending')
      UPDATE jobs SET state = 'running' FROM input WHERE jobs.id = input.job_id AND jobs.state = 'sending'`;
    return items.map(() => undefined);
  }
}
