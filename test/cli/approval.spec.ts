import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { at } from '../support/recovery.js';
import { waitUntil } from '../support/wait.js';
import { run, StartedGateway } from './command.fixture.js';

const nodes: EmulatedNode[] = [];
let folder: string;
let database: TestDatabase;
let explorer: Server;
let gateway: StartedGateway;

/** What a node is called unless somebody says otherwise. */
const nameOf = (index: number): string => new URL(at(nodes, index).url).host;

// One node is named by NODES, one by a file, and one by an explorer.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'infernet-gateway-approval-'));
  database = await createTestDatabase();
  for (let n = 0; n < 3; n += 1) nodes.push(await EmulatedNode.start({ rateLimit: false }));
  await writeFile(join(folder, 'ips.txt'), `${nameOf(1)}\n`);
  const stranger = { ip: '127.0.0.1', port: at(nodes, 2).port };
  explorer = createServer((_request, response) => {
    response.end(JSON.stringify({ data: [stranger] }));
  }).listen(0, '127.0.0.1');
  await once(explorer, 'listening');
  gateway = await StartedGateway.start(['--port', '0', '--host', '127.0.0.1', '--data-dir', folder], {
    DATABASE_URL: database.url,
    LOG_LEVEL: 'warn',
    PROBE_INTERVAL_MS: '200',
    NODES: at(nodes, 0).url,
    NODES_FILE: join(folder, 'ips.txt'),
    NODE_EXPLORER_URL: `http://127.0.0.1:${(explorer.address() as AddressInfo).port}`,
  });
  await waitUntil('all are up', async () => ((await done('list')).match(/ up /g) ?? []).length === 3);
});
afterAll(async () => {
  await gateway?.stop();
  explorer?.closeAllConnections();
  explorer?.close();
  await Promise.all(nodes.map((node) => node.stop()));
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

/** Runs `nodes …`, which must succeed. */
async function done(...args: string[]): Promise<string> {
  const { code, out, err } = await run(['nodes', ...args], { GATEWAY_URL: gateway.url, DATA_DIR: folder });
  expect({ code, err: code === 0 ? '' : err }).toEqual({ code: 0, err: '' });
  return out;
}

it('says where a node comes from', async () => {
  await done('add', 'http://127.0.0.1:1', '--name', 'attic');
  expect(await done('show', nameOf(0))).toMatch(/^registered +by NODES$/m);
  expect(await done('show', nameOf(1))).toMatch(/^registered +by NODES_FILE$/m);
  expect(await done('show', nameOf(2))).toMatch(/^registered +by the node explorer$/m);
  expect(await done('show', 'attic')).toMatch(/^registered +by an operator$/m);
});

it('shows that a stranger waits for approval, and approves it', async () => {
  const state = async (index: number): Promise<string | undefined> =>
    new RegExp(`^${nameOf(index)} +up +(\\S.*?)  `, 'm').exec(await done('list'))?.[1];
  expect([await state(0), await state(2)]).toEqual(['active', 'not approved']);
  expect(await done('show', nameOf(2))).toMatch(/^state +not approved$/m);
  await done('drain', nameOf(2));
  expect(await state(2)).toBe('draining');
  const { url, containers } = at(nodes, 2);
  expect(await done('resume', nameOf(2))).toBe(
    `${nameOf(2)} at ${url}: not approved, up, ${containers.length} containers\n`,
  );

  expect(await done('approve', nameOf(2))).toBe(
    `${nameOf(2)} at ${url}: up, ${containers.length} containers\n`,
  );
  expect(await state(2)).toBe('active');
  expect(await done('show', nameOf(2))).toMatch(/^state +active$/m);
});

it('of several, one that does not exist does not keep the others from approval', async () => {
  const { code, out, err } = await run(['nodes', 'approve', 'nobody', nameOf(0)], {
    GATEWAY_URL: gateway.url,
    DATA_DIR: folder,
  });
  expect(code).toBe(1);
  expect(out).toContain(`${nameOf(0)} at `);
  expect(err).toContain('nobody: No node has the name');
});
