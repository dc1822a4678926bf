import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { COORDINATOR, type EmulatedNodeOptions } from '../../src/emulator/options.js';
import { GatewayProcess } from './gateway-process.js';
import { PythonMissing, withoutPython } from '../support/python.js';
import { officialClients, type Client } from './python-environment.js';

/**
 * `npm run test:conformance`: the official Python client and its command line against a gateway in front of three
 * emulated nodes. Every file checks/check_*.py is run, with each version of the client; a new topic is a new file.
 */

const ROOT = join(import.meta.dirname, '../..');
const CHECKS = join(import.meta.dirname, 'checks', 'run.py');

/** One container refuses everybody, so that this refusal can be seen, too. */
const NODE: EmulatedNodeOptions = { rateLimit: false, allowedAddresses: { 'step-two': ['192.0.2.1'] } };
const FLEET_SIZE = 3;
/** The last node of the fleet has a chain. */
const CHAIN = { chainAddress: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8' };

interface Counts {
  ok: number;
  FAIL: number;
  skip: number;
}

/** Where the checks find what they talk to; see checks/run.py. */
interface Addresses {
  readonly gateway: string;
  readonly fleet: readonly string[];
  /** A node that is not behind the gateway, for comparison. */
  readonly node: string;
}

async function main(): Promise<number> {
  const startedAt = performance.now();
  let clients: Client[];
  try {
    clients = await officialClients();
  } catch (error) {
    if (!(error instanceof PythonMissing)) throw error;
    return withoutPython('conformance of the official Python client', error);
  }
  await promisify(execFile)('npm', ['run', '-s', 'build'], { cwd: ROOT });
  const nodes: EmulatedNode[] = [];
  let gateway: GatewayProcess | undefined;
  const counts: Counts = { ok: 0, FAIL: 0, skip: 0 };
  try {
    while (nodes.length < FLEET_SIZE) nodes.push(await EmulatedNode.start(NODE));
    nodes.push(await EmulatedNode.start({ ...NODE, ...CHAIN }));
    const [node = '', ...fleet] = nodes.map(({ url }) => url);
    gateway = await GatewayProcess.start(fleet);
    for (const client of clients) await check(client, { gateway: gateway.url, fleet, node }, counts);
  } finally {
    await gateway?.stop();
    for (const node of nodes) await node.stop();
  }
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  console.log(`\n${counts.ok} passed, ${counts.FAIL} failed, ${counts.skip} skipped in ${seconds} s`);
  return counts.FAIL === 0 ? 0 : 1;
}

/** Runs all checks with one client, passes their lines on and counts them. */
async function check(client: Client, { gateway, fleet, node }: Addresses, counts: Counts): Promise<void> {
  console.log(`\ninfernet-client ${client.version}, ${client.remark}`);
  const child = spawn(client.python, [CHECKS], {
    env: {
      ...process.env,
      PYTHONPATH: client.pythonPath,
      PYTHONDONTWRITEBYTECODE: '1',
      GATEWAY_URL: gateway,
      NODE_URL: node,
      FLEET_URLS: fleet.join(','),
      CHAIN_URL: fleet.at(-1),
      COORDINATOR,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  let failures = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    console.log(line);
    const verdict = /^(ok|FAIL|skip) /.exec(line)?.[1] as keyof Counts | undefined;
    if (verdict === undefined) continue;
    counts[verdict] += 1;
    if (verdict === 'FAIL') failures += 1;
  }
  const [code] = (await closed) as [number | null];
  // Broken off, or no check at all.
  if (code !== 0 && failures === 0) {
    console.log(`FAIL  the checks ended with ${code}`);
    counts.FAIL += 1;
  }
}

process.exitCode = await main();
