import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { freePort } from '../../src/persistence/postgres-server.js';
import { run } from './command.fixture.js';

const TOKEN = 'a-token-that-is-long-enough';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'infernet-gateway-usage-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('help', () => {
  it.each([[[]], [['start']], [['nodes']], [['jobs']], [['explain']], [['token']]])(
    'of %j has examples',
    async (words) => {
      const { code, out, err } = await run([...words, '--help']);
      expect({ code, err }).toEqual({ code: 0, err: '' });
      expect(out).toContain('Usage: infernet-gateway');
      expect(out).toMatch(/Examples?:\n {2}\S/);
    },
  );

  it.each([
    ['nodes', ['list', 'show', 'add', 'set', 'approve', 'drain', 'resume', 'remove']],
    ['jobs', ['list', 'show', 'retry', 'cancel']],
  ])('of every command of %s', async (group, commands) => {
    for (const command of commands) {
      const { code, out } = await run([group, command, '--help']);
      expect(code, command).toBe(0);
      expect(out, command).toContain(`Usage: infernet-gateway ${group} ${command}`);
      expect(out, command).toContain('--json');
    }
  });

  it('is shown when nothing is asked for, and that is wrong usage', async () => {
    for (const words of [[], ['nodes'], ['jobs']]) {
      const { code, out, err } = await run(words);
      expect({ code, out }).toEqual({ code: 2, out: '' });
      expect(err).toContain('Commands:');
    }
  });

  it('tells the version', async () => {
    const { version } = JSON.parse(
      await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
    ) as { version: string };
    expect((await run(['--version'])).out).toBe(`${version}\n`);
    expect((await run(['version'])).out).toBe(
      `infernet-gateway ${version}, Node.js ${process.versions.node}\n`,
    );
    expect(JSON.parse((await run(['version', '--json'])).out)).toMatchObject({ version });
  });
});

describe('wrong usage ends with 2 and says what would be right', () => {
  it.each([
    [['nodse'], 'Did you mean nodes?'],
    [['nodes', 'drian', 'x'], 'Did you mean drain?'],
    [['jobs', 'list', '--stauts', 'failed'], 'Did you mean --status?'],
    [['jobs', 'list', '--jsn'], 'Did you mean --json?'],
    [['jobs', 'list', '--status', 'fialed'], 'Allowed choices are queued, sending'],
    [['jobs', 'list', '--limit', '0'], 'from 1 to 1000'],
    [['jobs', 'show'], "missing required argument 'job'"],
    [['jobs', 'retry'], 'use --failed'],
    [['jobs', 'retry', 'x', '--failed'], 'not both'],
    [['jobs', 'retry', 'x', '--caller', 'y'], 'not both'],
    [['nodes', 'list', 'x'], 'too many arguments'],
    [['nodes', 'add', 'http://127.0.0.1:1', '--weight', 'heavy'], 'above 0'],
    [['nodes', 'add', 'http://127.0.0.1:1', '--max-in-flight', '0'], 'whole number'],
    [['nodes', 'add', 'http://127.0.0.1:1', '--label', 'rack'], 'key=value'],
    [['nodes', 'set', 'x'], 'Nothing to change'],
    [['nodes', 'list', '--url', 'ftp://gateway'], 'cannot be used'],
    [['start', '--port', 'http'], 'PORT="http": expected a whole number'],
    [['start', '--json'], '--json is for commands that talk to a running gateway'],
  ])('%j', async (words, text) => {
    const { code, out, err } = await run(words, { ADMIN_TOKEN: TOKEN });
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(text);
  });
});

describe('a gateway that does not answer as one ends with 1', () => {
  let server: Server;
  let url: string;
  let status = 500;
  const headers: Record<string, string> = {};
  const seen: string[] = [];
  beforeAll(async () => {
    server = createServer((request, response) => {
      seen.push(request.url ?? '');
      response.writeHead(status, headers).end('<html>no</html>');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.close();
  });

  it('nobody listens', async () => {
    const nobody = `http://127.0.0.1:${await freePort()}`;
    const { code, err } = await run(['nodes', 'list', '--url', nobody], { ADMIN_TOKEN: TOKEN });
    expect(code).toBe(1);
    expect(err).toContain(`No gateway at ${nobody}: the connection was refused.`);
    expect(err).toContain('infernet-gateway start');
    expect(err).not.toContain('    at ');
  });

  it('something else listens', async () => {
    for (status of [200, 404, 502]) {
      const { code, err } = await run(['nodes', 'list'], { ADMIN_TOKEN: TOKEN, GATEWAY_URL: url });
      expect(code).toBe(1);
      expect(err).toContain(
        `${url} does not answer like an infernet-gateway: GET /admin/nodes gave ${status}.`,
      );
    }
  });

  it('a node listens', async () => {
    const node = await EmulatedNode.start({ rateLimit: false });
    const { code, err } = await run(['jobs', 'list', '--url', node.url], { ADMIN_TOKEN: TOKEN });
    await node.stop();
    expect(code).toBe(1);
    expect(err).toContain('does not answer like an infernet-gateway');
  });

  it('a redirect is not followed, so the token goes nowhere else', async () => {
    status = 307;
    headers['location'] = `${url}/elsewhere`;
    const { code, err } = await run(['nodes', 'list', '--url', url], { ADMIN_TOKEN: TOKEN });
    expect(code).toBe(1);
    expect(err).toContain('gave 307');
    expect(seen).not.toContain('/elsewhere');
  });
});

describe('the token', () => {
  it('comes from --token, then ADMIN_TOKEN, then the file in DATA_DIR', async () => {
    await writeFile(join(folder, 'admin-token'), 'token-in-the-file\n');
    const file = { DATA_DIR: folder };
    const variable = { ...file, ADMIN_TOKEN: 'token-of-the-variable' };
    expect((await run(['token'], file)).out).toBe('token-in-the-file\n');
    expect((await run(['token'], { ...file, ADMIN_TOKEN: '' })).out).toBe('token-in-the-file\n');
    expect((await run(['token'], variable)).out).toBe('token-of-the-variable\n');
    expect((await run(['token', '--token', 'token-given'], variable)).out).toBe('token-given\n');
    expect(JSON.parse((await run(['token', '--json'], file)).out)).toEqual({
      token: 'token-in-the-file',
      source: join(folder, 'admin-token'),
    });
  });

  it('is missed in plain words', async () => {
    const { code, err } = await run(['nodes', 'list'], { DATA_DIR: join(folder, 'nothing') });
    expect(code).toBe(1);
    expect(err).toContain(`No admin token: ${join(folder, 'nothing', 'admin-token')} does not exist.`);
  });

  it('with characters that no header carries is wrong usage', async () => {
    const { code, err } = await run(['nodes', 'list', '--token', 'två\nord'], {});
    expect(code).toBe(2);
    expect(err).toContain('The admin token from --token');
  });
});
