import { json, send, type RawReply, type RawRequest } from '../support/http.js';
import { waitUntil } from '../support/wait.js';

/** What exists, for cases that need something real. */
export interface KnownIds {
  /** Jobs in every state that lasts. */
  readonly jobs: readonly string[];
  /** The nodes that do the work: to be read only. */
  readonly nodes: readonly string[];
  /** Nodes that nobody needs: to be changed, drained and removed. */
  readonly spareNodes: readonly string[];
}

const SPARE_NODES = 40;

/** Fills a gateway with jobs and with nodes to play with. */
export async function prepare(url: string, token: string): Promise<KnownIds> {
  const admin = (method: RawRequest['method'], path: string, body?: object): Promise<RawReply> =>
    send(`${url}/admin${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const { nodes } = json<{ nodes: { id: string; health: string }[] }>(await admin('GET', '/nodes'));
  const jobs: string[] = [];
  for (const [container, data] of [
    ['echo', { text: 'succeeds' }],
    ['always-fails', {}],
    ['delay', { ms: 600_000 }],
    ['delay', { ms: 600_000 }],
    ['echo', { text: 'again' }],
    ['always-fails', { text: 'again' }],
  ] as const) {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ containers: [container], data });
    jobs.push(json<{ id: string }>(await send(`${url}/api/jobs`, { method: 'POST', headers, body })).id);
  }
  await waitUntil('two jobs have succeeded', async () => {
    return json<{ jobs: object[] }>(await admin('GET', '/jobs?status=succeeded')).jobs.length === 2;
  });
  await admin('POST', `/jobs/${jobs[3]}/cancel`);
  const spareNodes: string[] = [];
  for (let index = 0; index < SPARE_NODES; index += 1) {
    const wishes = { url: `http://127.0.0.1:1/spare-${index}` };
    spareNodes.push(json<{ id: string }>(await admin('POST', '/nodes', wishes)).id);
  }
  return { jobs, nodes: nodes.map(({ id }) => id), spareNodes };
}
