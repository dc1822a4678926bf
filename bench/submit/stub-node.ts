import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * The least that still is a node for the gateway: it takes every job, says at once that it succeeded, and remembers
 * nothing, so that what is measured is what stands in front of it. Batches are asked for their items' ids alone.
 */

const INFO = JSON.stringify({
  chain: { address: '', enabled: false },
  containers: [{ description: 'stub', external: true, id: 'echo', image: 'stub' }],
  pending: { offchain: 0, onchain: 0 },
  version: '1.4.0',
});
const RESULT = JSON.stringify({ container: 'echo', output: { text: 'x'.repeat(150) } });
/** What a direct caller's job is called. */
const NAMELESS = '00000000-0000-4000-8000-000000000000';

function answerTo(method: string, url: string, body: string): string {
  if (method === 'POST' && url === '/api/jobs') {
    return `{"id":"${/"id":"([^"]+)"/.exec(body)?.[1] ?? NAMELESS}"}`;
  }
  if (method === 'POST') {
    const items = JSON.parse(body) as { id?: string }[];
    return `[${items.map(({ id }) => `{"id":"${id ?? NAMELESS}"}`).join(',')}]`;
  }
  if (url.startsWith('/api/jobs?')) {
    const ids = new URLSearchParams(url.slice(url.indexOf('?'))).getAll('id');
    return `[${ids.map((id) => `{"id":"${id}","result":${RESULT},"status":"success"}`).join(',')}]`;
  }
  return url === '/info' ? INFO : '{}';
}

function send(response: ServerResponse, text: string): void {
  const length = Buffer.byteLength(text);
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': length }).end(text);
}

const server = createServer((request: IncomingMessage, response) => {
  const { method = '', url = '' } = request;
  if (method === 'GET') return send(response, answerTo(method, url, ''));
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => send(response, answerTo(method, url, Buffer.concat(chunks).toString())));
});
server.listen(0, '127.0.0.1', () => {
  console.log(`listens on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
