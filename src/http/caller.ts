import { BlockList, isIP } from 'node:net';
import { GatewayError } from '../errors.js';

/** Where a node takes `PUT /api/status` from: this machine, Docker's networks and a common private one; docs/protocol.md §1. */
const LOCAL = new BlockList();
for (const network of ['172.17.0.0', '172.18.0.0', '172.19.0.0', '192.168.0.0']) {
  LOCAL.addSubnet(network, 16, 'ipv4');
}

/** The address that a node should see as that of a caller, for its rate limiter. @param caller as {@link callerOf} says it */
export function addressToForward(caller: string): string {
  return caller === 'loopback' ? '127.0.0.1' : caller;
}

/**
 * Who is asking, as one text: callers see only their own jobs. Today that is the peer's address (or, behind a
 * trusted proxy, the forwarded one) in one spelling: without a port, IPv4-mapped IPv6 addresses as IPv4, other IPv6
 * addresses in their shortest form. All loopback addresses are one caller, because `localhost` alternates between ::1
 * and 127.0.0.1.
 *
 * @param address what Fastify found to be the peer, `TRUST_PROXY` considered
 * @throws GatewayError MALFORMED_REQUEST when a trusted proxy forwarded something that is no address: whatever it
 *   meant, a text that anybody may choose must not name a caller
 */
export function callerOf(address: string): string {
  const plain = plainAddress(address);
  if (plain === undefined) {
    throw new GatewayError('MALFORMED_REQUEST', 'X-Forwarded-For does not hold an IP address', {
      field: 'x-forwarded-for',
    });
  }
  return isLoopback(plain) ? 'loopback' : plain;
}

/** Whether a node would take a status from there. */
export function isLocal(address: string): boolean {
  const plain = plainAddress(address);
  return (
    plain !== undefined && (isLoopback(plain) || LOCAL.check(plain, isIP(plain) === 4 ? 'ipv4' : 'ipv6'))
  );
}

/** An address without a port, in one spelling (RFC 5952); undefined for what is no address. */
function plainAddress(address: string): string | undefined {
  const bare = /^(?:\[([^\]]+)\]|(\d+\.\d+\.\d+\.\d+))(?::\d+)?$/.exec(address);
  const unported = bare?.[1] ?? bare?.[2] ?? address;
  const plain = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(unported)?.[1] ?? unported;
  if (isIP(plain) !== 6) return isIP(plain) === 4 ? plain : undefined;
  // One with a zone, which no URL can hold, stays as it is.
  const url = `http://[${plain}]`;
  return URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : plain.toLowerCase();
}

/** Of an address in its one spelling. Without a BlockList, which makes an object of each address: every request asks. */
function isLoopback(plain: string): boolean {
  return isIP(plain) === 4 ? plain.startsWith('127.') : plain === '::1';
}
