import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { environmentSchema } from '../../src/config/settings.js';

/** How the table words a default that is no text of its own. */
const WORDED: Readonly<Record<string, string>> = {
  DATABASE_URL: 'unset',
  REDIS_URL: 'unset',
  NODES_FILE: 'unset',
  NODE_EXPLORER_URL: 'unset',
  ADMIN_TOKEN: 'made at start',
  METRICS_TOKEN: 'unset',
  NODES: 'none',
};

/** Rows of the README's settings table: name → default. */
async function documented(): Promise<Map<string, string>> {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const rows = readme.matchAll(/^\| `([A-Z][A-Z_]+)` +\| +`?([^|`]*?)`? +\|/gm);
  return new Map([...rows].map(([, name, fallback]) => [name ?? '', fallback ?? '']));
}

it('the README lists every setting, in order, with its default', async () => {
  const rows = await documented();
  expect([...rows.keys()]).toEqual(Object.keys(environmentSchema.shape));
  const defaults = environmentSchema.parse({});
  for (const [name, shown] of rows) {
    const worded = WORDED[name];
    if (worded !== undefined) {
      expect(shown, name).toBe(worded);
      continue;
    }
    // Read back through the schema, a default gives what leaving the variable out gives.
    expect(environmentSchema.parse({ [name]: shown }), name).toEqual(defaults);
  }
});
