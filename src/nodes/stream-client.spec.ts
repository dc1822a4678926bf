import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NoMetrics } from '../metrics/metrics.js';
import { FleetNode } from './node.js';
import { nodeConfig } from './node.fixture.js';
import { StreamClient, type OnBehalf } from './stream-client.js';

/** Of 60 requests, 50 are left. */
const RATE = { 'ratelimit-limit': '60', 'ratelimit-remaining': '50', 'ratelimit-reset': '10' };
const OWN: OnBehalf = { address: undefined, signal: new AbortController().signal, timeoutMs: 30_000 };

let client: StreamClient;
let server: Server;
let answer: RequestListener;

beforeEach(() => {
  client = new StreamClient(new NoMetrics());
  server = createServer((request, response) => answer(request, response));
});
afterEach(async () => {
  await client.close();
  server.closeAllConnections();
  server.close();
});

async function node(): Promise<FleetNode> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return new FleetNode(nodeConfig({ id: 'n', url: `http://127.0.0.1:${port}` }));
}

describe("a question for a stream's row on the gateway's own budget", () => {
  it('is not counted as under way when the node is lost, or nobody waits any more', async () => {
    const asked = await node();
    const ask = (signal = OWN.signal) => client.row(asked, 'a', 1_000, { ...OWN, signal });
    answer = (_request, response) => void response.writeHead(200, RATE).end('[]');
    await ask();
    answer = (_request, response) => void response.destroy();
    for (let n = 0; n < 20; n += 1) expect((await ask()).kind).toBe('unclear');
    for (let n = 0; n < 20; n += 1) expect((await ask(AbortSignal.abort())).kind).toBe('unclear');
    answer = (_request, response) => void response.writeHead(200, RATE).end('[]');
    await ask();
    const [[, view] = []] = asked.budget.view(performance.now());
    expect(view?.left).toBeGreaterThanOrEqual(50);
  });

  it('lets the route rest after a 429, whoever answered it', async () => {
    const asked = await node();
    answer = (_request, response) => void response.writeHead(429).end();
    const before = performance.now();
    expect(await client.row(asked, 'a', 1_000, OWN)).toMatchObject({ kind: 'limited' });
    expect(asked.budget.waitMs('get_job', before)).toBeGreaterThanOrEqual(1_000);
  });
});

it("a 429 to a question on the caller's budget teaches nothing about the gateway's", async () => {
  const asked = await node();
  answer = (_request, response) => void response.writeHead(429, RATE).end();
  const reply = await client.row(asked, 'a', 1_000, { ...OWN, address: '10.0.0.1' });
  expect(reply).toMatchObject({ kind: 'limited' });
  expect(asked.budget.view(performance.now())).toEqual([]);
});
