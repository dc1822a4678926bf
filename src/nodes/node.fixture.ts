import type { NodeConfig } from './node.js';

/** A node as it is registered by hand and with nothing but its URL. */
export function nodeConfig(more: Partial<NodeConfig> & { readonly id: string }): NodeConfig {
  return {
    url: `http://${more.id}`,
    name: more.id,
    weight: 1,
    maxInFlight: null,
    labels: {},
    headers: {},
    state: 'active',
    source: 'admin',
    approved: true,
    leftFrom: null,
    createdAt: new Date(0),
    ...more,
  };
}
