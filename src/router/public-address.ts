import type { NodeConfig } from '../nodes/node.js';

/**
 * `host:port` of a node that can be used by whoever knows that much; undefined if it also takes TLS, a path prefix or
 * private headers.
 */
export function publicAddress({ url, headers }: Pick<NodeConfig, 'url' | 'headers'>): string | undefined {
  const { protocol, hostname, port, pathname } = new URL(url);
  if (protocol !== 'http:' || pathname !== '/' || Object.keys(headers).length > 0) return undefined;
  return `${hostname}:${port === '' ? '80' : port}`;
}
