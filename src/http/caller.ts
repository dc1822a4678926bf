import { BlockList, isIP } from 'node:net';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Where a node takes `PUT /api/status` from: this machine, Docker's networks and a common private one; docs/protocol.md §1. */
const LOCAL = new BlockList();
for (const network of ['172.17.0.0', '172.18.0.0', '172.19.0.0', '192.168.0.0']) {
  LOCAL.addSubnet(network, 16, 'ipv4');
}

/**
 * The address that a node should see as that of the caller, for its rate limiter: as in {@link callerOf} all loopback
 * addresses are one.
 *
 * @param address what Fastify found to be the peer, `TRUST_PROXY` considered
 */
export function addressToForward(address: string): string {
  const caller = callerOf(address);
  return caller === 'loopback' ? '127.0.0.1' : caller;
}

/**
 * Who is asking, as one text: callers see only their own jobs. Today that is the peer's address (or, behind a
 * trusted proxy, the forwarded one), with IPv4-mapped IPv6 addresses written as IPv4. All loopback addresses are
 * one caller, because `localhost` alternates between ::1 and 127.0.0.1.
 *
 * @param address what Fastify found to be the peer, `TRUST_PROXY` considered
 */
export function callerOf(address: string): string {
  const plain = plainAddress(address);
  return isIn(LOOPBACK, plain) ? 'loopback' : plain;
}

/** Whether a node would take a status from there. */
export function isLocal(address: string): boolean {
  const plain = plainAddress(address);
  return isIn(LOOPBACK, plain) || isIn(LOCAL, plain);
}

function plainAddress(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address.toLowerCase();
}

function isIn(list: BlockList, address: string): boolean {
  const version = isIP(address);
  return version !== 0 && list.check(address, version === 4 ? 'ipv4' : 'ipv6');
}
