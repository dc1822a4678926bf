import type { AdminClient } from './admin-client.js';
import type { NodeRow } from './api.js';
import { CommandError } from './exit.js';

/** All registered nodes. */
export async function nodesOf(client: AdminClient): Promise<readonly NodeRow[]> {
  return (await client.get<{ nodes: readonly NodeRow[] }>('/nodes')).value.nodes;
}

/**
 * The node that a person means by its name, id or URL.
 * @throws CommandError when there is none, with the closest name, or several
 */
export function findNode(nodes: readonly NodeRow[], wanted: string): NodeRow {
  const byId = nodes.find(({ id }) => id === wanted);
  if (byId !== undefined) return byId;
  const found = nodes.filter(({ name, url }) => name === wanted || url === wanted.replace(/\/$/, ''));
  if (found.length === 1 && found[0] !== undefined) return found[0];
  if (found.length > 1) {
    const ids = found.map(({ id, url }) => `\n  ${id}  ${url}`).join('');
    throw new CommandError(`Several nodes are called "${wanted}"; give the id of one:${ids}`);
  }
  const closest = closestTo(
    wanted,
    nodes.map(({ name }) => name),
  );
  const hint =
    closest === undefined ? '`infernet-gateway nodes list` shows all.' : `Did you mean ${closest}?`;
  throw new CommandError(`No node has the name, id or URL "${wanted}". ${hint}`);
}

/** The candidate that differs by the fewest edits, if those are at most two fifths of the word. */
export function closestTo(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, edits: editsBetween(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, edits }) => edits <= Math.max(word.length, candidate.length) * 0.4)
    .sort((a, b) => a.edits - b.edits);
  return ranked[0]?.candidate;
}

/** Insertions, deletions and replacements that turn one word into the other (Wagner and Fischer, 1974). */
function editsBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [i, letter] of Array.from(from).entries()) {
    const next = [i + 1];
    for (const [j, other] of Array.from(to).entries()) {
      const replaced = (row[j] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
