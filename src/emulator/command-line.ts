import { parseArgs } from 'node:util';
import { API_VERSIONS, apiVersion, type ApiVersion } from './api-version.js';
import { CONTAINER_IDS, containersById } from './containers.js';
import { COORDINATOR, type EmulatedNodeOptions } from './options.js';
import type { RateLimit } from './rate-limiter.js';
import type { ServiceTime } from './service-time.js';

/** The text of `--help`. */
export const HELP = `Emulated Infernet nodes for demos, tests and benchmarks.

npm run emulator -- [options]

  --port N              port of the first node, the others follow (default 4101; 0: free ports)
  --count N             number of nodes (default 1)
  --host ADDRESS        address to listen on (default 127.0.0.1)
  --name NAME           name; with --count NAME-1, NAME-2, ... (default node-<port>)
  --containers A,B      containers on offer (default all: ${CONTAINER_IDS.join(', ')})
  --slots N             executions at a time, others wait (default unlimited)
  --speed X             divides service times (default 1)
  --service-ms N        service time of every container; exp:N for exponential with mean N
  --seed N              seed of exponential service times (default 1)
  --rate-limit N/S      N requests in S seconds, by endpoint and caller; or off (default 60/60)
  --execution-log FILE  appends one JSON line for each finished execution
  --stall-reused-ms N   delay on reused connections (default 0; the reference node's: 44)
  --request-cost-ms X   processor time of each request (default 0; the reference node's: 2.5)
  --api-version V       version of the reference node to behave like (default 1.4.0): ${API_VERSIONS.join(', ')}
  --node-version V      version in /info (default the same)
  --chain ADDRESS       wallet address of a node with a chain, which takes delegated subscriptions (default: no chain)
  --chain-id N          chain that they are signed for (default 31337)
  --coordinator ADDRESS contract that they are signed for (default ${COORDINATOR})
  --stream-timeout-ms N cuts streams after this time (default 60000)
  --help                this text

Control surface on each node: GET /__emulator/state, PUT /__emulator/faults, POST /__emulator/restart,
GET /__emulator/executions, GET /__emulator/received, GET /__emulator/subscriptions. See docs/emulator.md.
`;

/** A command line that cannot be followed; the message is for the person who typed it. */
export class UsageError extends Error {}

/**
 * The nodes that a command line asks for.
 * @param args without the interpreter and the script
 * @returns 'help' when asked for it
 * @throws UsageError
 */
export function nodesOf(args: readonly string[]): EmulatedNodeOptions[] | 'help' {
  const values = parsed(args);
  if (values.help === true) return 'help';
  const count = number('count', values.count ?? '1', { min: 1, integer: true });
  const port = number('port', values.port ?? '4101', { min: 0, integer: true });
  const containers = values.containers?.split(',').map((id) => id.trim());
  try {
    if (containers !== undefined) containersById(containers);
  } catch (error) {
    throw new UsageError(`--containers: ${(error as Error).message}`, { cause: error });
  }
  return Array.from({ length: count }, (_, index) => ({
    port: port === 0 ? 0 : port + index,
    host: values.host,
    name: values.name === undefined || count === 1 ? values.name : `${values.name}-${index + 1}`,
    containers,
    slots: optionalNumber('slots', values.slots, { min: 1, integer: true }),
    speed: optionalNumber('speed', values.speed, { min: Number.MIN_VALUE }),
    serviceMs: serviceTime(values['service-ms'], values.seed, index),
    rateLimit: rateLimit(values['rate-limit']),
    executionLog: values['execution-log'],
    stallReusedMs: optionalNumber('stall-reused-ms', values['stall-reused-ms'], { min: 0 }),
    requestCostMs: optionalNumber('request-cost-ms', values['request-cost-ms'], { min: 0 }),
    apiVersion: versionOf(values['api-version']),
    streamTimeoutMs: optionalNumber('stream-timeout-ms', values['stream-timeout-ms'], { min: 1 }),
    version: values['node-version'],
    chainAddress: values.chain,
    chainId: optionalNumber('chain-id', values['chain-id'], { min: 1, integer: true }),
    coordinator: address('coordinator', values.coordinator),
  }));
}

function parsed(args: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        port: text,
        count: text,
        host: text,
        name: text,
        containers: text,
        slots: text,
        speed: text,
        'service-ms': text,
        seed: text,
        'rate-limit': text,
        'execution-log': text,
        'stall-reused-ms': text,
        'request-cost-ms': text,
        'api-version': text,
        'stream-timeout-ms': text,
        'node-version': text,
        chain: text,
        'chain-id': text,
        coordinator: text,
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

interface Range {
  readonly min: number;
  readonly integer?: boolean;
}

function number(name: string, text: string, { min, integer = false }: Range): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < min || (integer && !Number.isInteger(value))) {
    const kind = integer ? 'a whole number' : 'a number';
    const bound = min === Number.MIN_VALUE ? 'above 0' : `of at least ${min}`;
    throw new UsageError(`--${name}: ${kind} ${bound} expected, got "${text}"`);
  }
  return value;
}

function optionalNumber(name: string, text: string | undefined, range: Range): number | undefined {
  return text === undefined ? undefined : number(name, text, range);
}

function address(name: string, text: string | undefined): string | undefined {
  if (text === undefined || /^0x[0-9a-f]{40}$/i.test(text)) return text;
  throw new UsageError(`--${name}: an address, 0x and 40 hexadecimal digits, expected, got "${text}"`);
}

/** Every node draws its own times, hence the index in the seed. */
function serviceTime(
  text: string | undefined,
  seed: string | undefined,
  index: number,
): ServiceTime | undefined {
  if (text === undefined) return undefined;
  if (!text.startsWith('exp:')) return number('service-ms', text, { min: 0 });
  const firstSeed = number('seed', seed ?? '1', { min: 0, integer: true });
  return { meanMs: number('service-ms', text.slice(4), { min: 0 }), seed: firstSeed + index };
}

function versionOf(text: string | undefined): ApiVersion | undefined {
  try {
    return text === undefined ? undefined : apiVersion(text);
  } catch (error) {
    throw new UsageError(`--api-version: ${(error as Error).message}`, { cause: error });
  }
}

function rateLimit(text: string | undefined): RateLimit | false | undefined {
  if (text === undefined) return undefined;
  if (text === 'off') return false;
  const [limit = '', seconds = '', ...rest] = text.split('/');
  if (rest.length > 0) throw new UsageError(`--rate-limit: 60/60 or off expected, got "${text}"`);
  return {
    limit: number('rate-limit', limit, { min: 1, integer: true }),
    periodMs: 1000 * number('rate-limit', seconds, { min: 0.001 }),
  };
}
