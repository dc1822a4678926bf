import { apiVersion, traitsOf, type ApiVersion, type VersionTraits } from './api-version.js';
import { CONTAINER_IDS, containersById, type Container } from './containers.js';
import type { RateLimit } from './rate-limiter.js';
import { serviceTimes, type ServiceTime, type ServiceTimes } from './service-time.js';

/** How an emulated node is set up. */
export interface EmulatedNodeOptions {
  /** TCP port; 0 (default) for a free one. */
  readonly port?: number;
  /** Address to listen on; default 127.0.0.1. */
  readonly host?: string;
  /** Appears in outputs and in the execution log; default `node-<port>`. */
  readonly name?: string;
  /** Ids of the containers on offer; default all. */
  readonly containers?: readonly string[];
  /** Executions at a time, of all containers together; the others wait in order. Default Infinity. */
  readonly slots?: number;
  /** Service times are divided by it; default 1. */
  readonly speed?: number;
  /**
   * Service time, of all containers or by container id. Default: the container's own, 0 but for the
   * language models. A `delay` takes what its input says and this only where the input says nothing.
   */
  readonly serviceMs?: ServiceTime | Readonly<Record<string, ServiceTime>>;
  /** The version of the reference node to behave like; default 1.4.0. */
  readonly apiVersion?: ApiVersion;
  /** Version in `/info`, where there is one; default `apiVersion`. */
  readonly version?: string;
  /** Wallet address of a node with a chain. Default none: delegated subscriptions end in 500. */
  readonly chainAddress?: string;
  /** The chain and the contract that delegated subscriptions are signed for; default 31337 and `COORDINATOR`. */
  readonly chainId?: number;
  readonly coordinator?: string;
  /** By owner, the address that may sign for it; an owner that is not listed accepts any signer. Default none listed. */
  readonly signers?: Readonly<Record<string, string>>;
  /** Owners whose delegated subscriptions may use a container, by container id; default everyone. */
  readonly allowedOwners?: Readonly<Record<string, readonly string[]>>;
  /** Addresses that may use a container, by container id; default everyone. */
  readonly allowedAddresses?: Readonly<Record<string, readonly string[]>>;
  /** The rate limiter of each endpoint and caller; default 60 requests in 60,000 ms, as in the node. Versions 0 have none. */
  readonly rateLimit?: RateLimit | false;
  /** Whether received requests are kept; default true. */
  readonly record?: boolean;
  /** File that each finished execution is appended to as a JSON line; default none. */
  readonly executionLog?: string;
  /** Delay of the body on reused connections; default 0. The reference node's is 44 (docs/protocol.md §6.3). */
  readonly stallReusedMs?: number;
  /** Processor time of each request, one after another; default 0. The reference node's is 2.5. */
  readonly requestCostMs?: number;
  /** A connection ends after so many requests; default 1,001. */
  readonly requestsPerConnection?: number;
  /** Lifetime of running rows; default 15 minutes. */
  readonly pendingTtlMs?: number;
  /** After which a container's answer is given up; default 180,000. */
  readonly containerTimeoutMs?: number;
  /** After which a stream is cut; default 60,000, before 1.4.0 180,000. */
  readonly streamTimeoutMs?: number;
}

/** Where the coordinator contract of emulated nodes lives. */
export const COORDINATOR = '0x2E983A1Ba5e8b38AAAeC4B440B9dDcFBf72E15d1';

const DEFAULTS = {
  port: 0,
  host: '127.0.0.1',
  containers: CONTAINER_IDS,
  slots: Infinity,
  speed: 1,
  apiVersion: '1.4.0',
  chainId: 31_337,
  coordinator: COORDINATOR,
  signers: {},
  allowedOwners: {},
  allowedAddresses: {},
  rateLimit: { limit: 60, periodMs: 60_000 },
  record: true,
  stallReusedMs: 0,
  requestCostMs: 0,
  requestsPerConnection: 1_001,
  pendingTtlMs: 15 * 60_000,
  containerTimeoutMs: 180_000,
} satisfies EmulatedNodeOptions;

/** Checked options with every default filled in, but for the name, which depends on the port. */
export type NodeSetup = Required<
  Omit<EmulatedNodeOptions, 'name' | 'serviceMs' | 'chainAddress' | 'executionLog' | 'containers'>
> &
  Pick<EmulatedNodeOptions, 'name' | 'chainAddress' | 'executionLog'> & {
    readonly traits: VersionTraits;
    readonly containers: ReadonlyMap<string, Container>;
    readonly serviceTimes: ReadonlyMap<string, ServiceTimes>;
  };

/** @throws RangeError naming the option that is out of range, or an unknown container */
export function nodeSetup(options: EmulatedNodeOptions): NodeSetup {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const { serviceMs, ...setup }: typeof DEFAULTS & EmulatedNodeOptions = { ...DEFAULTS, ...given };
  if (!(setup.slots >= 1)) throw new RangeError(`slots must be at least 1, got ${setup.slots}`);
  if (!(setup.speed > 0)) throw new RangeError(`speed must be positive, got ${setup.speed}`);
  const { rateLimit } = setup;
  if (rateLimit && !(rateLimit.limit >= 1 && rateLimit.periodMs > 0)) {
    throw new RangeError('rateLimit needs a limit of at least 1 and a positive period');
  }
  const containers = containersById(setup.containers);
  const times = [...containers.values()].map((container): [string, ServiceTimes] => [
    container.id,
    serviceTimes(serviceTimeOf(container, serviceMs)),
  ]);
  const traits = traitsOf(apiVersion(setup.apiVersion));
  const { version = setup.apiVersion, streamTimeoutMs = traits.streamTimeoutMs } = setup;
  const limit = traits.limitsRates && setup.rateLimit;
  return {
    ...setup,
    traits,
    version,
    streamTimeoutMs,
    rateLimit: limit,
    containers,
    serviceTimes: new Map(times),
  };
}

function serviceTimeOf(container: Container, serviceMs: EmulatedNodeOptions['serviceMs']): ServiceTime {
  if (serviceMs === undefined) return container.serviceMs;
  if (typeof serviceMs === 'number') return serviceMs;
  if (isDistribution(serviceMs)) return serviceMs;
  return serviceMs[container.id] ?? container.serviceMs;
}

function isDistribution(
  time: Exclude<EmulatedNodeOptions['serviceMs'], undefined | number>,
): time is Exclude<ServiceTime, number> {
  return typeof time.meanMs === 'number';
}
