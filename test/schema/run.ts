import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { GatewayProcess } from '../conformance/gateway-process.js';
import { PythonMissing, pythonEnvironment, withoutPython } from '../support/python.js';
import { prepare } from './prepare.js';

/**
 * `npm run test:schema`: schemathesis makes requests up from `/openapi.json`, valid and invalid ones, and holds every
 * answer against it: no server error, no status, content type or body that is not documented, nothing invalid
 * accepted. The gateway is the built program in front of two emulated nodes, one of them with a chain. Cases follow a
 * seed, so a run can be repeated; fewer of them than asked for is a failure. `/admin/events` is left out: it does not end.
 */

const ROOT = join(import.meta.dirname, '../..');
const REQUIREMENTS = join(import.meta.dirname, 'requirements.txt');
const CONFIGURATION = join(import.meta.dirname, 'schemathesis.toml');
const MIN_CASES = 5_000;
const ADMIN_TOKEN = 'an-admin-token-of-the-schema-test';

async function main(): Promise<number> {
  let python: string;
  try {
    const requirements = { file: REQUIREMENTS, text: await readFile(REQUIREMENTS, 'utf8'), pipOptions: [] };
    python = await pythonEnvironment(join(ROOT, '.venv-schema'), [requirements], 'schemathesis');
  } catch (error) {
    if (!(error instanceof PythonMissing)) throw error;
    return withoutPython('the API against its own documents', error);
  }
  await promisify(execFile)('npm', ['run', '-s', 'build'], { cwd: ROOT });
  const nodes: EmulatedNode[] = [];
  let gateway: GatewayProcess | undefined;
  try {
    nodes.push(await EmulatedNode.start({ rateLimit: false, record: false }));
    nodes.push(
      await EmulatedNode.start({ rateLimit: false, record: false, chainAddress: `0x${'11'.repeat(20)}` }),
    );
    gateway = await GatewayProcess.start(
      nodes.map(({ url }) => url),
      // A node that nobody has: looked at seldom, it costs little.
      { ADMIN_TOKEN, PROBE_INTERVAL_MS: '1000', LOG_LEVEL: 'error' },
    );
    const ids = await prepare(gateway.url, ADMIN_TOKEN);
    return await check(python, gateway.url, ids);
  } finally {
    await gateway?.stop();
    for (const node of nodes) await node.stop();
  }
}

async function check(python: string, url: string, ids: object): Promise<number> {
  const startedAt = performance.now();
  const scratch = await mkdtemp(join(tmpdir(), 'infernet-gateway-schema-'));
  const seed = process.env['SCHEMA_TEST_SEED'] ?? '1';
  const child = spawn(
    python,
    [
      '-m',
      'schemathesis.cli',
      '--config-file',
      CONFIGURATION,
      'run',
      `${url}/openapi.json`,
      '--seed',
      seed,
      '--exclude-path',
      '/admin/events',
    ],
    {
      cwd: scratch,
      env: {
        ...process.env,
        PYTHONDONTWRITEBYTECODE: '1',
        SCHEMATHESIS_HOOKS: 'hooks',
        PYTHONPATH: import.meta.dirname,
        SCHEMA_TEST_IDS: JSON.stringify(ids),
        SCHEMA_TEST_TOKEN: ADMIN_TOKEN,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    process.stdout.write(text);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  await rm(scratch, { recursive: true, force: true });
  const cases = Number(/^ *(\d+) (?:generated|test cases)/m.exec(output)?.[1] ?? 0);
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  const enough = cases >= MIN_CASES;
  console.log(`\n${cases} cases with seed ${seed} in ${seconds} s${enough ? '' : `, ${MIN_CASES} wanted`}`);
  return code === 0 && enough ? 0 : 1;
}

process.exitCode = await main();
