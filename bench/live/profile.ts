import { readFile } from 'node:fs/promises';

/** The part of V8's CPU profile that is read here; times in µs. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

/** How long a function was on the stack: itself, or with what it called. */
export interface FunctionTime {
  readonly name: string;
  readonly selfUs: number;
  readonly totalUs: number;
}

/** Times of all functions, the longest self time first; one that recurs counts once in its total. */
export function functionTimes({ nodes, samples, timeDeltas }: CpuProfile): FunctionTime[] {
  const self = new Map<number, number>();
  samples.forEach((id, index) => self.set(id, (self.get(id) ?? 0) + (timeDeltas[index] ?? 0)));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const children = new Set(nodes.flatMap((node) => node.children ?? []));
  const times = new Map<string, { selfUs: number; totalUs: number }>();
  const visit = (node: ProfileNode, above: ReadonlySet<string>): number => {
    const name = nameOf(node);
    const within = new Set(above).add(name);
    const selfUs = self.get(node.id) ?? 0;
    let totalUs = selfUs;
    for (const id of node.children ?? []) {
      const child = byId.get(id);
      if (child !== undefined) totalUs += visit(child, within);
    }
    const time = times.get(name) ?? { selfUs: 0, totalUs: 0 };
    time.selfUs += selfUs;
    if (!above.has(name)) time.totalUs += totalUs;
    times.set(name, time);
    return totalUs;
  };
  for (const node of nodes) if (!children.has(node.id)) visit(node, new Set());
  return [...times].map(([name, time]) => ({ name, ...time })).sort((a, b) => b.selfUs - a.selfUs);
}

/** @throws Error when there is no such file */
export async function readCpuProfile(path: string): Promise<CpuProfile> {
  return JSON.parse(await readFile(path, 'utf8')) as CpuProfile;
}

/** A function with the last parts of its file's path. */
function nameOf({ callFrame: { functionName, url, lineNumber } }: ProfileNode): string {
  const place = url.split('/').slice(-3).join('/');
  return `${functionName || '(anonymous)'}${place === '' ? '' : ` ${place}:${lineNumber + 1}`}`;
}
