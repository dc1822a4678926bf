import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * Whether `tool` is on the PATH, for tests that need a program which is not an npm package:
 * `describe.skipIf(!hasTool('redis-server', 'the queue on Redis'))`. Where it is missing, one line says what
 * is not tested; with `CI_REQUIRE_ALL=1` it is an error, so that nothing goes untested in CI by accident.
 *
 * @param purpose What goes untested without it.
 * @throws Error when the tool is missing and `CI_REQUIRE_ALL=1`.
 */
export function hasTool(tool: string, purpose: string): boolean {
  if (pathOf(tool) !== undefined) return true;
  if (process.env['CI_REQUIRE_ALL'] === '1') {
    throw new Error(`${tool} is not installed, and CI_REQUIRE_ALL=1 demands ${purpose} to be tested.`);
  }
  console.warn(`Skipped: ${purpose}, because ${tool} is not installed.`);
  return false;
}

/** Where a program is that is on the PATH; undefined if it is not. */
export function pathOf(tool: string): string | undefined {
  const directories = (process.env['PATH'] ?? '').split(delimiter);
  return directories.map((directory) => join(directory, tool)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
