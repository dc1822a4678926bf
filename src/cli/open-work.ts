import { setTimeout as sleep } from 'node:timers/promises';
import type { AdminClient } from './admin-client.js';
import type { JobDetails, JobPage } from './api.js';
import { nodesOf } from './find-node.js';

const POLL_MS = 500;

/** A job in one of these states may have an attempt that runs on a node. */
const OPEN_STATES = ['sending', 'running', 'queued'] as const;

/**
 * Waits until no attempt is open on a node. Which attempts are is asked of the jobs, not of the node's row, because the
 * replica that answers may not be the one that works with the node.
 */
export async function untilIdle(client: AdminClient, nodeId: string): Promise<void> {
  while (await hasOpenAttempt(client, nodeId)) await sleep(POLL_MS);
}

/** Waits until a node is no longer registered. */
export async function untilRemoved(client: AdminClient, nodeId: string): Promise<void> {
  while ((await nodesOf(client)).some(({ id }) => id === nodeId)) await sleep(POLL_MS);
}

async function hasOpenAttempt(client: AdminClient, nodeId: string): Promise<boolean> {
  for (const status of OPEN_STATES) {
    let cursor: string | undefined;
    do {
      const page: JobPage = (await client.get<JobPage>('/jobs', { node: nodeId, status, cursor })).value;
      for (const { id } of page.jobs) {
        // An attempt was made on the node at some time; the open one may be elsewhere.
        const { attempts } = (await client.get<JobDetails>(`/jobs/${id}`)).value;
        if (attempts.some(({ node, state }) => node.id === nodeId && isOpen(state))) return true;
      }
      cursor = page.cursor ?? undefined;
    } while (cursor !== undefined);
  }
  return false;
}

function isOpen(state: string): boolean {
  return state === 'sending' || state === 'running';
}
