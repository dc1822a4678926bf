import { expect } from 'vitest';

import type { EmulatedNode } from '../../src/emulator/emulated-node.js';
import type { Execution } from '../../src/emulator/execution-log.js';
import type { NodeRow, TestFleet, TestGateway } from './gateway.js';
import { json } from './http.js';
import { waitUntil } from './wait.js';

/** An attempt as `GET /admin/jobs/{id}` shows it. */
export interface AttemptView {
  readonly id: string;
  readonly number: number;
  readonly generation: number;
  readonly node: { readonly id: string; readonly name: string | null };
  readonly nodeJobId: string;
  readonly state: string;
  readonly reason: string | null;
  readonly createdAt: string;
  readonly acceptedAt: string | null;
  readonly finishedAt: string | null;
}

/** A job as `GET /admin/jobs/{id}` shows it. */
export interface JobView {
  readonly id: string;
  readonly state: string;
  readonly generation: number;
  readonly failures: number;
  readonly attempts: readonly AttemptView[];
  readonly results: readonly { generation: number; bytes: number; preview: string }[];
  readonly timeline: readonly { at: string; text: string }[];
}

/** Settings with which failures are noticed and retries made within a moment. */
export const QUICK = {
  LEASE_TTL_MS: '4000',
  RETRY_BASE_MS: '50',
  NO_ANSWER_MS: '1500',
  PROBE_INTERVAL_MS: '200',
  SUBMIT_TIMEOUT_MS: '2000',
} as const;

/**
 * As `QUICK`, and probes are so rare that submissions have to find out about the nodes. Which of two idle nodes is chosen
 * must not depend on how fast they were.
 */
export const BLIND = {
  ...QUICK,
  PROBE_INTERVAL_MS: '600000',
  DISPATCH_POLICY: 'least-pending',
} as const;

/** What operators see of a job. */
export async function jobView(gateway: TestGateway, id: string): Promise<JobView> {
  const reply = await gateway.admin('GET', `/jobs/${id}`);
  if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text}`);
  return json<JobView>(reply);
}

/** The attempts in short: the index of the node among those registered, and how the attempt stands. */
export function storyOf(view: JobView, registered: readonly NodeRow[]): string[] {
  return view.attempts.map(
    ({ node, state }) => `${registered.findIndex(({ id }) => id === node.id)} ${state}`,
  );
}

/** Every time that a container ran for this job, whichever attempt it was. */
export function executionsOf(view: JobView, nodes: readonly EmulatedNode[]): Execution[] {
  const nodeJobIds = new Set(view.attempts.map(({ nodeJobId }) => nodeJobId));
  return nodes.flatMap(({ executions }) => executions.filter(({ jobId }) => nodeJobIds.has(jobId)));
}

/** Expects that a job's attempts are these (see {@link storyOf}), and that it ran so often. */
export async function expectStory(
  { gateway, nodes, registered }: Pick<TestFleet, 'gateway' | 'nodes' | 'registered'>,
  id: string,
  story: readonly string[],
  executions: number,
): Promise<JobView> {
  const view = await jobView(gateway, id);
  expect(storyOf(view, registered), JSON.stringify(view.attempts, undefined, 1)).toEqual(story);
  expect(executionsOf(view, nodes)).toHaveLength(executions);
  return view;
}

/** Waits until operators see a job so. */
export async function whenJob(
  gateway: TestGateway,
  id: string,
  what: string,
  condition: (view: JobView) => boolean,
  withinMs?: number,
): Promise<JobView> {
  return waitUntil(
    `job ${id}: ${what}`,
    async () => {
      const view = await jobView(gateway, id);
      return condition(view) ? view : undefined;
    },
    withinMs === undefined ? {} : { withinMs },
  );
}

/** Why a node is given no job for a container now; null if it may be. */
export async function whyNot(
  gateway: TestGateway,
  container: string,
  nodeId: string,
): Promise<string | null | undefined> {
  const reply = await gateway.admin('GET', `/explain?container=${container}`);
  const { nodes } = json<{ nodes: { node: { id: string }; reason: string | null }[] }>(reply);
  return nodes.find(({ node }) => node.id === nodeId)?.reason;
}

/** The one of these nodes at an index, which must be there. */
export function at<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new Error(`there is none at ${index}`);
  return found;
}

/** How many submissions a node has received. */
export function submissionsTo(node: EmulatedNode): number {
  return node.received.filter(({ method }) => method === 'POST').length;
}

/** Keeps every node from taking jobs, so that what is handed in waits in the gateway; `resume` takes it back. */
export async function drainAll({ gateway, registered }: TestFleet): Promise<void> {
  for (const { id } of registered) await gateway.admin('POST', `/nodes/${id}/drain`);
}

/** Lets all nodes take jobs again. */
export async function resumeAll({ gateway, registered }: TestFleet): Promise<void> {
  for (const { id } of registered) await gateway.admin('POST', `/nodes/${id}/resume`);
}
