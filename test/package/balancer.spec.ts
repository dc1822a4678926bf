import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/persistence/postgres-server.js';
import { json, send } from '../support/http.js';
import { TestReplicas } from '../support/replicas.js';
import { hasTool } from '../support/requirements.js';
import { waitUntil } from '../support/wait.js';

const CONFIGURATION = join(import.meta.dirname, '../../docker/balancer.conf');

/**
 * The balancer of docker-compose.yml in front of two gateways. Real: nginx with its configuration, the gateways and a
 * node. Other than there: the addresses, and that they are listed instead of looked up by name.
 */
describe.skipIf(!hasTool('nginx', 'the balancer of docker-compose.yml'))('the balancer', () => {
  let folder: string;
  let replicas: TestReplicas;
  let nginx: ChildProcess;
  let url: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'infernet-gateway-balancer-'));
    replicas = await TestReplicas.start({
      gateways: 2,
      nodes: [{}, {}],
      settings: { TRUST_PROXY: 'loopback' },
    });
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const text = (await readFile(CONFIGURATION, 'utf8'))
      .replace('worker_processes auto', `daemon off;\nworker_processes 1`)
      .replace('/var/run/nginx.pid', join(folder, 'nginx.pid'))
      .replace('listen 4000', `listen 127.0.0.1:${port}`)
      .replace(/resolver .*;/, `upstream gateways { ${addresses()} }\n${temporaryFolders()}`)
      .replace('set $gateways gateway;', '')
      .replace('http://$gateways:4000', 'http://gateways');
    await writeFile(join(folder, 'nginx.conf'), text);
    nginx = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: 'ignore' });
    await waitUntil('nginx listens', () => send(`${url}/health`).catch(() => undefined));
  });
  afterAll(async () => {
    if (nginx?.exitCode === null) {
      const exited = once(nginx, 'exit');
      nginx.kill('SIGTERM');
      await exited;
    }
    await replicas?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  function addresses(): string {
    return replicas.gateways.map((gateway) => `server ${new URL(gateway.url).host};`).join(' ');
  }

  function temporaryFolders(): string {
    const names = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    return names.map((name) => `${name}_temp_path ${join(folder, name)};`).join('\n');
  }

  async function submit(headers: Record<string, string> = {}): Promise<string> {
    const reply = await send(`${url}/api/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ containers: ['echo'], data: { text: 'x' } }),
    });
    expect(reply.status).toBe(200);
    return json<{ id: string }>(reply).id;
  }

  it('spreads calls over the gateways, and any of them has the result', async () => {
    const ids = await Promise.all(Array.from({ length: 10 }, () => submit()));
    const query = ids.map((id) => `id=${id}`).join('&');
    const states = await waitUntil('all have ended', async () => {
      const rows = json<{ status: string }[]>(await send(`${url}/api/jobs?${query}`));
      return rows.every(({ status }) => status !== 'running') && rows.map(({ status }) => status);
    });
    expect(states).toEqual(ids.map(() => 'success'));
  });

  it('throws away what callers say of themselves', async () => {
    const id = await submit({ 'x-forwarded-for': '192.0.2.7' });
    const own = json<string[]>(await send(`${url}/api/jobs`));
    expect(own).toContain(id);
    const forged = json<string[]>(
      await send(`${url}/api/jobs`, { headers: { 'x-forwarded-for': '192.0.2.8' } }),
    );
    expect(forged.toSorted()).toEqual(own.toSorted());
  });

  it('leaves limits to the gateway', async () => {
    const reply = await send(`${url}/api/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{"containers":["echo"],"data":{"text":"${'x'.repeat(2_000_000)}"}}`,
    });
    expect(reply.status).toBe(200);
  });

  it('leaves limits of the URL to the gateway, too: 300 ids fit in one question', async () => {
    const id = await submit();
    const others = Array.from(
      { length: 299 },
      (_, n) => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`,
    );
    const reply = await send(`${url}/api/jobs?${[id, ...others].map((one) => `id=${one}`).join('&')}`);
    expect({ status: reply.status, type: reply.headers['content-type'] }).toEqual({
      status: 200,
      type: expect.stringMatching(/^application\/json\b/),
    });
    expect(json<{ id: string }[]>(reply).map((row) => row.id)).toEqual([id]);
  });

  it('passes over a gateway that is gone', async () => {
    await replicas.gateway(1).pause();
    const replies = await Promise.all(Array.from({ length: 6 }, () => send(`${url}/health`)));
    expect(replies.map(({ status }) => status)).toEqual(Array.from({ length: 6 }, () => 200));
  });
});
