import { z } from 'zod';
import { messageOf } from '../errors.js';
import { normaliseNodeUrl } from '../nodes/node-url.js';

/** A list of nodes that cannot be used; the message says why. */
export class UnusableList extends Error {}

/**
 * Reads an `ips.txt` as the reference router takes it: one node in each line, `host:port` or a URL. Blank lines and
 * what stands behind a `#` are left out.
 * @returns normalised URLs, each once
 * @throws UnusableList naming the first line that is no node: half a file must not pass for a whole one
 */
export function readNodesFile(text: string): string[] {
  const urls = new Set<string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const node = line.replace(/#.*$/, '').trim();
    if (node === '') continue;
    try {
      urls.add(normaliseNodeUrl(node));
    } catch (error) {
      throw new UnusableList(`line ${index + 1}: ${messageOf(error)}`, { cause: error });
    }
  }
  return [...urls];
}

const DEFAULT_NODE_PORT = 4000;

const explorerSchema = z.object({ data: z.array(z.unknown()) });
const explorerNodeSchema = z.object({
  ip: z.string().regex(/^[\w.:-]{1,255}$/),
  port: z.coerce.number().int().min(1).max(65_535).nullish(),
});

/**
 * Reads a Node Explorer's answer, `{"data":[{"ip","port"?}]}`; docs/protocol.md §3. Single entries that are no node are left
 * out, for anybody may have put them there.
 * @returns normalised URLs, each once, and how many entries were left out
 * @throws UnusableList if it is something else, or has no entry that can be used among some
 */
export function readExplorerAnswer(text: string): { urls: string[]; leftOut: number } {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (error) {
    throw new UnusableList('the answer is not JSON', { cause: error });
  }
  const parsed = explorerSchema.safeParse(answer);
  if (!parsed.success) throw new UnusableList('the answer is not {"data":[…]}');
  const entries = parsed.data.data.map(urlOfEntry);
  const urls = new Set(entries.filter((url) => url !== undefined));
  if (entries.length > 0 && urls.size === 0) throw new UnusableList('no entry of the answer is a node');
  return { urls: [...urls], leftOut: entries.filter((url) => url === undefined).length };
}

function urlOfEntry(entry: unknown): string | undefined {
  const parsed = explorerNodeSchema.safeParse(entry);
  if (!parsed.success) return undefined;
  const { ip, port } = parsed.data;
  const host = ip.includes(':') ? `[${ip}]` : ip;
  const url = `http://${host}:${port ?? DEFAULT_NODE_PORT}`;
  return URL.canParse(url) ? normaliseNodeUrl(url) : undefined;
}
