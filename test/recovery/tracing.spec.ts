import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { GatewayProcess } from '../support/gateway-process.js';
import { json, send } from '../support/http.js';
import { StreamCaller } from '../support/stream-caller.js';
import { waitUntil } from '../support/wait.js';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly events?: { name: string }[];
  readonly links?: { traceId: string; spanId: string }[];
  readonly attributes: { key: string; value: { stringValue?: string } }[];
}

/** What an OpenTelemetry collector receives over OTLP/HTTP in JSON. */
class Receiver {
  readonly spans: Span[] = [];
  readonly paths = new Set<string>();
  private readonly server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    this.paths.add(request.url ?? '');
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as {
        resourceSpans: { scopeSpans: { spans: Span[] }[] }[];
      };
      for (const { scopeSpans } of body.resourceSpans) {
        for (const { spans } of scopeSpans) this.spans.push(...spans);
      }
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  of(traceId: string, name: string): Span[] {
    return this.spans.filter((span) => span.traceId === traceId && span.name === name);
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

/** After a crash leases have to run out first, and nodes to be looked at. */
const PATIENTLY = { withinMs: 60_000 };
const PATIENT_TEST = { timeout: 180_000 };

let receiver: Receiver;
let database: TestDatabase;
let node: EmulatedNode;
let gateway: GatewayProcess;
let settings: Record<string, string>;

beforeEach(async () => {
  receiver = new Receiver();
  database = await createTestDatabase();
  node = await EmulatedNode.start({ rateLimit: false });
  settings = {
    DATABASE_URL: database.url,
    NODES: node.url,
    ADMIN_TOKEN: 'an-admin-token-of-the-tests',
    PROBE_INTERVAL_MS: '200',
    RETRY_BASE_MS: '10',
    LEASE_TTL_MS: '1000',
    OTEL_EXPORTER_OTLP_ENDPOINT: await receiver.start(),
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_BSP_SCHEDULE_DELAY: '100',
  };
});
afterEach(async () => {
  await gateway.kill();
  await node.stop();
  await database.drop();
  receiver.stop();
});

async function start(more: Record<string, string> = {}): Promise<void> {
  gateway = await GatewayProcess.start({ ...settings, ...more });
  await nodesUp(1);
}

const nodesUp = (count: number): Promise<unknown> =>
  waitUntil(`${count} nodes are up`, async () => {
    return json<{ nodes: { up: number } }>(await send(`${gateway.url}/ready`)).nodes.up === count;
  });

async function submit(traceId: string, containers: string[], data: object): Promise<string> {
  const reply = await send(`${gateway.url}/api/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent: `00-${traceId}-00f067aa0ba902b7-01` },
    body: JSON.stringify({ containers, data }),
  });
  expect(reply.status).toBe(200);
  return json<{ id: string }>(reply).id;
}

const ended = (id: string): Promise<unknown> =>
  waitUntil(
    'the job has ended',
    async () => {
      const rows = json<{ status: string }[]>(await send(`${gateway.url}/api/jobs?id=${id}`));
      return rows[0]?.status !== 'running';
    },
    PATIENTLY,
  );

const traced = (traceId: string, name: string, count = 1): Promise<Span[]> =>
  waitUntil(
    `${count} spans ${name}`,
    () => {
      const found = receiver.of(traceId, name);
      return found.length >= count ? found : undefined;
    },
    PATIENTLY,
  );

const A = 'a'.repeat(32);

it('one trace leads from the request of the caller to the node and back', async () => {
  await start();
  const id = await submit(A, ['echo'], {});
  await ended(id);
  const [request] = await traced(A, 'POST /api/jobs');
  const [attempt] = await traced(A, 'attempt');
  const [collected] = await traced(A, 'run and collect');
  const [served] = receiver
    .of(A, 'POST /api/jobs')
    .filter((span) => span.parentSpanId === '00f067aa0ba902b7');
  expect(request).toBeDefined();
  expect(attempt?.parentSpanId).toBe(served?.spanId);
  expect(collected?.parentSpanId).toBe(served?.spanId);
  const [, sent] = await traced(A, 'POST /api/jobs', 2);
  const client = [request, sent].find((span) => span?.parentSpanId === attempt?.spanId);
  const received = node.received.find(({ method }) => method === 'POST');
  expect(received?.headers['traceparent']).toBe(`00-${A}-${client?.spanId}-01`);
  expect([...receiver.paths]).toEqual(['/v1/traces']);
});

it(
  'the trace goes on when the job waits, is retried, and is taken over after a crash',
  PATIENT_TEST,
  async () => {
    await start();
    await node.faults.set({ error500Html: true });
    const waiting = await submit(A, ['echo'], {});
    // Spans that are not sent yet die with the process.
    await traced(A, 'attempt');
    await gateway.kill();
    await node.faults.clear();
    await start();
    await ended(waiting);
    const attempts = await traced(A, 'attempt', 2);
    await traced(A, 'run and collect');
    expect(new Set(attempts.map(({ traceId }) => traceId))).toEqual(new Set([A]));

    const B = 'b'.repeat(32);
    const running = await submit(B, ['delay'], { ms: 2_000 });
    await gateway.kill();
    await start();
    await ended(running);
    await traced(B, 'run and collect');
  },
);

it('a stream is traced from its request to the node that streams it', async () => {
  await start();
  const headers = { traceparent: `00-${A}-00f067aa0ba902b7-01` };
  const caller = StreamCaller.start(gateway.url, ['pieces'], { count: 3 }, headers);
  expect(await caller.ended).toBe(true);
  const spans = await traced(A, 'POST /api/jobs/stream', 2);
  const served = spans.find(({ parentSpanId }) => parentSpanId === '00f067aa0ba902b7');
  const [attempt] = await traced(A, 'attempt');
  const sent = spans.find(({ parentSpanId }) => parentSpanId === attempt?.spanId);
  expect(attempt?.parentSpanId).toBe(served?.spanId);
  expect(attempt?.events?.map(({ name }) => name)).toEqual(['first output']);
  const received = node.received.find(({ path }) => path === '/api/jobs/stream');
  expect(received?.headers['traceparent']).toBe(`00-${A}-${sent?.spanId}-01`);
});

it('jobs of several traces in one batch: the request belongs to one and has links with the others', async () => {
  await start({ DISPATCH_POLICY: 'least-pending' });
  await node.faults.set({ frozen: { forMs: 600_000 } });
  const traceIds = Array.from({ length: 12 }, (_, n) =>
    n.toString(16).padStart(2, '0').repeat(16).replace(/^00/, '0f'),
  );
  const submissions = traceIds.map((traceId) => submit(traceId, ['echo'], {}));
  // Answered after ANSWER_WITHIN_MS at the latest: what gathers meanwhile leaves as a batch.
  await Promise.all(submissions);
  await node.faults.clear();
  const batch = await waitUntil('a batch with links', () =>
    receiver.spans.find(({ name, links = [] }) => name === 'POST /api/jobs/batch' && links.length > 0),
  );
  const [linked] = batch.links ?? [];
  const attempt = await waitUntil('the other end of the link', () =>
    receiver.spans.find(({ spanId }) => spanId === linked?.spanId),
  );
  expect(attempt.traceId).not.toBe(batch.traceId);
  expect(attempt.links?.map(({ spanId }) => spanId)).toContain(batch.spanId);
});

it('without the variables nothing is sent, stored or passed on', async () => {
  await start({ OTEL_EXPORTER_OTLP_ENDPOINT: '' });
  await ended(await submit(A, ['echo'], {}));
  expect(node.received.every(({ headers }) => headers['traceparent'] === undefined)).toBe(true);
  gateway.signal('SIGTERM');
  await gateway.ended();
  expect(receiver.spans).toEqual([]);
});
