import type { NodeConfig } from '../nodes/node.js';

/** Sources of nodes, those that come first own what several of them list. */
export type ListedSource = Exclude<NodeConfig['source'], 'admin'>;

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
 * Compares what the sources list with what is registered. Nodes that were registered by hand, or come from a source that
 * is not among these, are nobody's business here.
 * @param lists by source, the most important first
 */
export function rollCall(
  lists: ReadonlyMap<ListedSource, readonly string[]>,
  registered: readonly NodeConfig[],
): RollCall {
  const sourceOf = new Map<string, ListedSource>();
  for (const [source, urls] of lists) {
    for (const url of urls) if (!sourceOf.has(url)) sourceOf.set(url, source);
  }
  const known = new Set(registered.map(({ url }) => url));
  const ours = registered.flatMap((node) =>
    node.source !== 'admin' && lists.has(node.source) ? [{ node, source: sourceOf.get(node.url) }] : [],
  );
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
