import type { NodeConfig } from '../nodes/node.js';

/** Sources that list nodes; what several of them list belongs to the most important one. */
export type ListedSource = Exclude<NodeConfig['source'], 'admin'>;

/** The most important first: what operators say goes before what an explorer says. */
const SOURCES: readonly ListedSource[] = ['env', 'file', 'explorer'];

/** What to do so that the registered nodes are those that the sources list. */
export interface RollCall {
  /** Listed and not registered. */
  readonly missing: readonly { readonly url: string; readonly source: ListedSource }[];
  /** Registered and not listed any more. */
  readonly left: readonly NodeConfig[];
  /** Listed again, after they had left. */
  readonly back: readonly { readonly node: NodeConfig; readonly source: ListedSource }[];
  /** Listed by another of the sources than the one that they were known from. */
  readonly moved: readonly { readonly node: NodeConfig; readonly source: ListedSource }[];
}

/**
 * Compares what the sources list with what is registered. Nodes that were registered by hand are nobody's business here, and
 * one that comes from a source that is not among these only if a more important source lists it: NODES is among them only
 * once, maybe before the explorer has answered.
 */
export function rollCall(
  lists: ReadonlyMap<ListedSource, readonly string[]>,
  registered: readonly NodeConfig[],
): RollCall {
  const sourceOf = new Map<string, ListedSource>();
  for (const source of SOURCES) {
    for (const url of lists.get(source) ?? []) if (!sourceOf.has(url)) sourceOf.set(url, source);
  }
  const known = new Set(registered.map(({ url }) => url));
  const ours = registered.flatMap((node) => {
    if (node.source === 'admin') return [];
    const source = sourceOf.get(node.url);
    const isClaimed = source !== undefined && SOURCES.indexOf(source) < SOURCES.indexOf(node.source);
    return isClaimed || lists.has(node.source) ? [{ node, source }] : [];
  });
  const listed = ours.flatMap(({ node, source }) => (source === undefined ? [] : [{ node, source }]));
  return {
    missing: [...sourceOf].filter(([url]) => !known.has(url)).map(([url, source]) => ({ url, source })),
    left: ours
      .filter(({ node, source }) => source === undefined && node.leftFrom === null)
      .map(({ node }) => node),
    back: listed.filter(({ node }) => node.leftFrom !== null),
    moved: listed.filter(({ node, source }) => node.leftFrom === null && node.source !== source),
  };
}
