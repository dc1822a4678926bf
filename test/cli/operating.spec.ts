import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { json, send } from '../support/http.js';
import { hasTool } from '../support/requirements.js';
import { waitUntil } from '../support/wait.js';
import { COMMAND, run, runOnTerminal, StartedGateway, type Outcome } from './command.fixture.js';

const ESCAPE = '\u001b';

let folder: string;
let database: TestDatabase;
let gateway: StartedGateway;
let node: EmulatedNode;
let environment: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'infernet-gateway-cli-'));
  database = await createTestDatabase();
  node = await EmulatedNode.start({ rateLimit: false });
  gateway = await StartedGateway.start(['--port', '0', '--host', '127.0.0.1', '--data-dir', folder], {
    DATABASE_URL: database.url,
    LOG_LEVEL: 'warn',
    PROBE_INTERVAL_MS: '200',
  });
  environment = { GATEWAY_URL: gateway.url, DATA_DIR: folder };
});
afterAll(async () => {
  const code = await gateway?.stop();
  await node?.stop();
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
  expect(code).toBe(0);
});

/** Runs the command, which must succeed. */
async function done(...args: string[]): Promise<string> {
  const { code, out, err } = await run(args, environment);
  expect({ code, err: code === 0 ? '' : err }).toEqual({ code: 0, err: '' });
  return out;
}

async function answer<T>(...args: string[]): Promise<T> {
  return JSON.parse(await done(...args, '--json')) as T;
}

async function submit(container: string, data: object): Promise<string> {
  const reply = await send(`${gateway.url}/api/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ containers: [container], data }),
  });
  return json<{ id: string }>(reply).id;
}

async function ended(id: string): Promise<void> {
  await waitUntil('the job has ended', async () => {
    const reply = await send(`${gateway.url}/api/jobs?id=${id}`);
    return json<{ status: string }[]>(reply)[0]?.status !== 'running';
  });
}

interface NodeJson {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly weight: number;
  readonly maxInFlight: number | null;
  readonly labels: object;
  readonly headers: string[];
}

describe('start', () => {
  it('makes a token that only its owner may read, and the command finds it', async () => {
    expect((await stat(join(folder, 'admin-token'))).mode & 0o777).toBe(0o600);
    expect(await done('nodes', 'list')).toContain('No nodes are registered.');
  });

  it('with a wrong token: refused in plain words', async () => {
    const { code, out, err } = await run(['nodes', 'list', '--token', 'not-the-right-one'], environment);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain(`The gateway at ${gateway.url} refuses the admin token from --token.`);
  });
});

describe('nodes', () => {
  it('add, by URL alone or with all that can be said of it', async () => {
    expect(
      await done('nodes', 'add', node.url, '--name', 'basement', '--weight', '2', '--label', 'rack=a3'),
    ).toBe(`Registered basement at ${node.url}: up, ${node.containers.length} containers\n`);
    const again = await run(['nodes', 'add', node.url], environment);
    expect(again.code).toBe(1);
    expect(again.err).toContain('registered already');
    expect(await done('nodes', 'add', 'http://127.0.0.1:1', '--name', 'attic')).toMatch(
      /^Registered attic at http:\/\/127.0.0.1:1: (unknown|down)/,
    );
    const refused = await run(['nodes', 'add', 'gopher://x'], environment);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain('url');
  });

  it('list, as a table or as the API says it', async () => {
    await waitUntil('attic is down', async () => (await done('nodes', 'list')).includes('down'));
    const lines = (await done('nodes', 'list')).split('\n');
    expect(lines[0]).toMatch(/^NAME +HEALTH +STATE +JOBS +WEIGHT .*URL +LAST ERROR$/);
    expect(lines[1]).toMatch(/^basement +up +active +0 +2 /);
    expect(lines[2]).toMatch(/^attic +down .*refused/i);
    const { nodes } = await answer<{ nodes: NodeJson[] }>('nodes', 'list');
    expect(nodes.map(({ name }) => name)).toEqual(['basement', 'attic']);
  });

  it('show and set, by name, id or URL', async () => {
    const { id } = await answer<NodeJson>('nodes', 'show', 'basement');
    for (const name of [id, `${node.url}/`]) {
      expect((await answer<NodeJson>('nodes', 'show', name)).id).toBe(id);
    }
    await done(
      'nodes',
      'set',
      id,
      '--max-in-flight',
      '8',
      '--header',
      'X-Key: s3cret',
      '--label',
      'a=1',
      '--label',
      'b=2',
    );
    const changed = await answer<NodeJson>('nodes', 'show', id);
    expect(changed).toMatchObject({ weight: 2, maxInFlight: 8, labels: { a: '1', b: '2' } });
    const shown = await done('nodes', 'show', 'basement');
    expect(shown).toMatch(/^jobs in flight +0 of 8$/m);
    expect(shown).toMatch(/^headers +x-key \(values are not shown\)$/im);
    expect(shown).not.toContain('s3cret');
    await done('nodes', 'set', 'basement', '--max-in-flight', 'none', '--clear-labels', '--clear-headers');
    expect(await answer<NodeJson>('nodes', 'show', id)).toMatchObject({
      maxInFlight: null,
      labels: {},
      headers: [],
    });
  });

  it('a mistyped name gets a suggestion', async () => {
    const { code, err } = await run(['nodes', 'drain', 'basment'], environment);
    expect(code).toBe(1);
    expect(err).toBe('No node has the name, id or URL "basment". Did you mean basement?\n');
  });

  it('of several, one that fails does not keep the others from it', async () => {
    const { code, out, err } = await run(['nodes', 'drain', 'nobody', 'attic'], environment);
    expect(code).toBe(1);
    expect(out).toBe('attic is draining\n');
    expect(err).toContain('nobody: No node has the name');
  });

  it('drain --wait returns when what runs there has ended; resume takes it back', async () => {
    const id = await submit('delay', { ms: 1_500 });
    await waitUntil('the job runs', () => node.received.some(({ method }) => method === 'POST'));
    expect(await done('nodes', 'drain', 'basement', '--wait')).toBe(
      'basement is draining; nothing of ours runs there\n',
    );
    expect((await answer<{ state: string }>('jobs', 'show', id)).state).toBe('succeeded');
    expect(await done('nodes', 'resume', 'basement')).toMatch(/^basement at \S+: up, /);
  });

  it('remove --wait returns when it is gone', async () => {
    expect(await done('nodes', 'remove', 'attic', '--wait')).toBe('attic is removed\n');
    expect(await done('nodes', 'list')).not.toContain('attic');
  });
});

describe('jobs', () => {
  it('list and show: what happened, and how the result begins', async () => {
    const id = await submit('echo', { big: 1 });
    await ended(id);
    const list = await done(
      'jobs',
      'list',
      '--node',
      'basement',
      '--status',
      'succeeded',
      '--container',
      'echo',
    );
    expect(list).toMatch(/^ID +STATE +AGE +TOOK +FAILURES +CALLER +CONTAINERS$/m);
    expect(list).toMatch(new RegExp(`^${id} +succeeded .*echo$`, 'm'));
    const shown = await done('jobs', 'show', id);
    expect(shown).toMatch(/^state +succeeded$/m);
    expect(shown).toContain('basement accepted it');
    expect(shown).toContain('"output":{"big":1}');
    expect(await done('jobs', 'list', '--caller', '192.0.2.1')).toBe('No jobs.\n');
  });

  it('pages', async () => {
    const { code, out, err } = await run(['jobs', 'list', '--limit', '1'], environment);
    expect(code).toBe(0);
    const cursor = /^More: --cursor (\S+)$/m.exec(err)?.[1] ?? '';
    expect(out).toContain(cursor);
    expect(await done('jobs', 'list', '--cursor', cursor)).not.toContain(cursor);
  });

  it('--json is the answer of the API, byte for byte', async () => {
    const id = await submit('echo', { exact: 1 });
    await ended(id);
    const reply = await send(`${gateway.url}/admin/jobs/${id}`, {
      headers: { authorization: `Bearer ${(await done('token')).trim()}` },
    });
    expect(await done('jobs', 'show', id, '--json')).toBe(`${reply.text.trim()}\n`);
  });

  it('cancel and retry, one by one or all that failed', async () => {
    await done('nodes', 'drain', 'basement');
    const id = await submit('echo', {});
    expect(await done('jobs', 'cancel', id)).toBe(`${id} is cancelled\n`);
    const twice = await run(['jobs', 'cancel', id], environment);
    expect(twice).toMatchObject({ code: 1, err: 'The job has ended already: cancelled\n' });
    await done('nodes', 'resume', 'basement');
    expect(await done('jobs', 'retry', id)).toBe(`${id} starts anew\n`);
    await ended(id);
    const failed = await submit('always-fails', {});
    await ended(failed);
    expect(await done('jobs', 'retry', '--failed', '--container', 'echo')).toBe('0 jobs start anew\n');
    expect(await done('jobs', 'retry', '--failed', '--container', 'always-fails')).toBe(
      '1 job starts anew\n',
    );
    const none = await run(['jobs', 'show', '00000000-0000-7000-8000-000000000000'], environment);
    expect(none).toMatchObject({ code: 1, err: 'There is no job 00000000-0000-7000-8000-000000000000\n' });
  });
});

describe('explain', () => {
  it('says where a job would go, or why it waits', async () => {
    expect(await done('explain', 'echo')).toMatch(
      /^Now, a job for echo would go to basement\.\n\nNODE .*\nbasement .* yes$/m,
    );
    await done('nodes', 'drain', 'basement');
    const held = await done('explain', 'step-one', 'step-two');
    await done('nodes', 'resume', 'basement');
    expect(held).toContain('Now, a job for step-one → step-two would wait.');
    expect(held).toMatch(/^basement .*no: it is draining$/m);
    expect(await answer<object>('explain', 'echo')).toMatchObject({ containers: ['echo'] });
  });
});

describe('explain at a gateway that does not hold the node', () => {
  it('says who decides, and not that the job would wait', async () => {
    const dataDir = join(folder, 'other');
    const other = await StartedGateway.start(['--port', '0', '--host', '127.0.0.1', '--data-dir', dataDir], {
      DATABASE_URL: database.url,
      LOG_LEVEL: 'warn',
    });
    try {
      const there = { GATEWAY_URL: other.url, DATA_DIR: dataDir };
      const { code, out } = await run(['explain', 'echo'], there);
      expect(code).toBe(0);
      expect(out).toContain('Now, no node of the gateway that answered would get a job for echo.');
      expect(out).toContain('Other gateways work with 1 more.');
      expect(out).toMatch(/^basement .* another replica decides$/m);
      await done('nodes', 'drain', 'basement');
      const drained = await waitUntil('the other one knows', async () => {
        const { out: text } = await run(['explain', 'echo'], there);
        return text.includes('it is draining') && text;
      });
      await done('nodes', 'resume', 'basement');
      expect(drained).toContain('Now, a job for echo would wait.');
    } finally {
      expect(await other.stop()).toBe(0);
    }
  });
});

describe.skipIf(!hasTool('script', 'output on a terminal'))('on a terminal', () => {
  // A sentence may go on in the next line, as terminals do it; columns may not.
  const widths = ({ out }: Outcome): number[] =>
    out
      .split('\n')
      .filter((line) => !line.includes('Now, '))
      .map((line) => line.replace(new RegExp(`${ESCAPE}\\[\\d+m`, 'g'), '').length);

  it('output fits the width and is coloured', async () => {
    for (const columns of [40, 60, 120]) {
      for (const words of [
        ['nodes', 'list'],
        ['nodes', 'show', 'basement'],
        ['jobs', 'list'],
        ['explain', 'echo'],
      ]) {
        const shown = await runOnTerminal(words, columns, environment);
        expect(shown.code).toBe(0);
        expect(Math.max(...widths(shown)), `${words.join(' ')} at ${columns}`).toBeLessThanOrEqual(columns);
        expect(shown.out).toContain(ESCAPE);
      }
    }
    expect((await runOnTerminal(['nodes', 'list'], 40, environment)).out).toContain('(no room for ');
  });

  it('NO_COLOR and pipes get no colours', async () => {
    const plain = await runOnTerminal(['nodes', 'list'], 80, { ...environment, NO_COLOR: '1' });
    expect(plain.out).toContain('basement');
    expect(plain.out).not.toContain(ESCAPE);
    expect(await done('nodes', 'list')).not.toContain(ESCAPE);
  });
});

describe('output', () => {
  it('carries no control characters of others', async () => {
    await done('nodes', 'set', 'basement', '--name', `${ESCAPE}[2Jevil\u202e`);
    const list = await done('nodes', 'list');
    await done('nodes', 'set', node.url, '--name', 'basement');
    expect(list).toContain('\ufffd[2Jevil\ufffd');
    expect(list).not.toContain(ESCAPE);
  });

  it('may be cut off by its reader', async () => {
    const child = spawn('sh', ['-c', `"$0" "$1" nodes list --json | head -c 1`, process.execPath, COMMAND], {
      env: { PATH: process.env['PATH'] ?? '', ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let err = '';
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.stdout.resume();
    const [code] = (await once(child, 'close')) as [number];
    expect({ code, err }).toEqual({ code: 0, err: '' });
  });
});
