import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { json, send, type RawReply, type RawRequest } from '../support/http.js';
import { waitUntil } from '../support/wait.js';

/** Secrets and payloads show up in no log entry, however much is logged, and in no answer. */

const TOKEN = 'the-admin-token-9f2c';
const WRONG_TOKEN = 'a-wrong-token-77aa';
const NODE_SECRET = 'the-node-secret-51bd';
const PAYLOAD = 'the-payload-c0ffee';

let database: TestDatabase;
let node: EmulatedNode;
let dataDir: string;
let child: ChildProcess;
let url = '';
let output = '';

beforeAll(async () => {
  database = await createTestDatabase();
  node = await EmulatedNode.start({ rateLimit: false });
  dataDir = await mkdtemp(join(tmpdir(), 'infernet-gateway-secrets-'));
  child = spawn(process.execPath, [join(import.meta.dirname, '../../dist/main.js')], {
    env: {
      PATH: process.env['PATH'] ?? '',
      HOST: '127.0.0.1',
      PORT: '0',
      DATA_DIR: dataDir,
      DATABASE_URL: database.url,
      ADMIN_TOKEN: TOKEN,
      LOG_LEVEL: 'trace',
      PROBE_INTERVAL_MS: '200',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  url = await waitUntil('it listens', () => /listens on (http:\S+)/.exec(output)?.[1], { withinMs: 60_000 });
});
afterAll(async () => {
  child.kill('SIGKILL');
  await once(child, 'exit');
  await node.stop();
  await database.drop();
  await rm(dataDir, { recursive: true, force: true });
});

it('neither logs nor answers hold tokens, header values of nodes, the database password or payloads', async () => {
  const replies: RawReply[] = [];
  const admin = async (method: RawRequest['method'], path: string, body?: object, token = TOKEN) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const reply = await send(`${url}/admin${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    replies.push(reply);
    return reply;
  };
  const wishes = {
    url: node.url,
    headers: { 'x-api-key': NODE_SECRET, authorization: `Bearer ${NODE_SECRET}` },
  };
  const { id } = json<{ id: string }>(await admin('POST', '/nodes', wishes));
  await admin('POST', '/nodes', wishes);
  await admin('POST', '/nodes', { ...wishes, url: 'http://127.0.0.1:1/away' });
  await admin('POST', '/nodes', { url: 'ftp://user:pass-word-8080@host/' });
  await admin('PATCH', `/nodes/${id}`, { headers: { ...wishes.headers, more: NODE_SECRET } });
  await admin('PATCH', `/nodes/${id}`, { headers: { 'bad name': NODE_SECRET } });
  for (const path of ['/nodes', `/nodes/${id}`, '/jobs', '/explain?container=echo']) await admin('GET', path);
  await admin('GET', '/nodes', undefined, WRONG_TOKEN);
  const submitted = await send(`${url}/api/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${WRONG_TOKEN}` },
    body: JSON.stringify({ containers: ['echo'], data: { text: PAYLOAD } }),
  });
  const job = json<{ id: string }>(submitted).id;
  await waitUntil('the job has ended', async () =>
    (await send(`${url}/api/jobs?id=${job}`)).text.includes('success'),
  );
  await send(`${url}/api/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"containers":["${PAYLOAD}`,
  });
  expect(node.received.some(({ headers }) => headers['x-api-key'] === NODE_SECRET)).toBe(true);
  const password = new URL(database.url).password;
  const secrets = {
    TOKEN,
    WRONG_TOKEN,
    NODE_SECRET,
    PAYLOAD,
    inUrl: 'pass-word-8080',
    ...(password && { password }),
  };
  const answers = replies.map(({ text }) => text).join('\n');
  for (const [name, secret] of Object.entries(secrets)) {
    expect(answers.includes(secret), `${name} in an answer`).toBe(false);
    const line = output.split('\n').find((entry) => entry.includes(secret));
    expect(line, `${name} in the log`).toBeUndefined();
  }
  // The log was there to look into.
  expect(output).toContain('Registered the node');
});
