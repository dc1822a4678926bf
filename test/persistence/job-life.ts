import { readSettings } from '../../src/config/settings.js';
import type { Attempt } from '../../src/dispatch/attempt-store.js';
import { AcceptancesRepository } from '../../src/jobs/acceptances.repository.js';
import { AttemptsRepository } from '../../src/jobs/attempts.repository.js';
import { JobEvents } from '../../src/jobs/job-events.js';
import { ResultsStore } from '../../src/jobs/results-store.js';
import { NoMetrics } from '../../src/metrics/metrics.js';
import { Broadcast } from '../../src/persistence/broadcast.js';
import type { Database } from '../../src/persistence/database.js';
import { uuidv7 } from '../../src/protocol/uuid.js';
import { NODES } from './many-jobs.js';

const BODY = Buffer.from('{"containers":["echo"],"data":{}}');

/** The repositories that write what happens to a job, as the gateway wires them. */
export function jobStores(database: Database, url: string) {
  const settings = readSettings({});
  const metrics = new NoMetrics();
  const acceptances = new AcceptancesRepository(database, metrics);
  const broadcast = new Broadcast(database, url, uuidv7());
  const results = new ResultsStore(database, new JobEvents(), broadcast, settings, acceptances, metrics);
  return {
    settings,
    results,
    attempts: new AttemptsRepository(database, results, acceptances, settings, metrics),
  };
}

/** A node whose lease is held under this fence for an hour. */
export async function addLeasedNode(database: Database, id: string, fence: number): Promise<void> {
  await database.$executeRaw`
    INSERT INTO nodes (id, url, name, source, updated_at, lease_fence, lease_until)
    VALUES (${id}::uuid, ${`http://${id}`}, 'node', 'admin', now(), ${fence}, now() + interval '1 hour')`;
}

/** What happens to every job, for many at once and on one node. */
export class JobLife {
  private readonly attempts: AttemptsRepository;
  private readonly results: ResultsStore;

  constructor(database: Database, url: string) {
    ({ attempts: this.attempts, results: this.results } = jobStores(database, url));
  }

  /** @param sent whether they go to the node at once, or wait */
  async admit(ids: readonly string[], sent: boolean): Promise<void> {
    await Promise.all(
      ids.map((id) =>
        this.attempts.admit(
          { id, caller: 'c1', containers: ['echo'], requiresProof: false, body: BODY },
          sent ? firstAttemptOf(id) : undefined,
        ),
      ),
    );
  }

  async claim(ids: readonly string[]): Promise<void> {
    await Promise.all(ids.map((jobId) => this.attempts.claim({ ...LEASE, jobId })));
  }

  async accept(ids: readonly string[]): Promise<void> {
    await Promise.all(ids.map((id) => this.attempts.accepted(firstAttemptOf(id), undefined)));
  }

  async end(ids: readonly string[]): Promise<void> {
    const end = { state: 'succeeded', reason: null, result: BODY, intermediate: null } as const;
    await Promise.all(ids.map((id) => this.results.finish({ ...end, attempt: firstAttemptOf(id) })));
  }
}

/** As `insertNodes` leases them. */
const LEASE = { nodeId: NODES[0] as string, fence: 1 };

function firstAttemptOf(jobId: string): Attempt {
  return { ...LEASE, id: jobId, jobId, number: 1 };
}
