import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const STEP_LIMIT_MS = 300_000;

/** Python or a package cannot be had here; the message says which and why, in one line. */
export class PythonMissing extends Error {}

/** A file of requirements, and where its packages go: the environment itself, or a folder of their own. */
export interface Requirements {
  readonly file: string;
  readonly text: string;
  readonly pipOptions: readonly string[];
}

/**
 * A virtual environment that is made when it is missing or the requirements have changed.
 * @param folder ignored by git; kept between runs
 * @param probe a module that has to be importable
 * @returns its interpreter
 * @throws PythonMissing
 */
export async function pythonEnvironment(
  folder: string,
  requirements: readonly Requirements[],
  probe: string,
): Promise<string> {
  const python = join(folder, 'bin', 'python');
  // The requirements that are installed; written last.
  const stamp = join(folder, 'installed.txt');
  const wanted = requirements.map(({ text }) => text).join('');
  if (await isInstalled(python, stamp, wanted, probe)) return python;
  await rm(folder, { recursive: true, force: true });
  await step('there is no Python 3 with venv', 'python3', ['-m', 'venv', folder]);
  const pip = ['-m', 'pip', 'install', '--quiet', '--no-input', '--disable-pip-version-check'];
  for (const { file, pipOptions } of requirements) {
    await step(`${file} cannot be installed`, python, [...pip, ...pipOptions, '-r', file]);
  }
  await writeFile(stamp, wanted);
  return python;
}

/** Says that something goes untested without Python. @returns the exit code: a failure where everything is required */
export function withoutPython(purpose: string, error: PythonMissing): number {
  const isRequired = process.env['CI_REQUIRE_ALL'] === '1';
  const verdict = isRequired ? 'Failed, as CI_REQUIRE_ALL=1 demands' : 'Skipped';
  console.log(`${verdict}: ${purpose}, because ${error.message}`);
  return isRequired ? 1 : 0;
}

async function isInstalled(python: string, stamp: string, wanted: string, probe: string): Promise<boolean> {
  try {
    if ((await readFile(stamp, 'utf8')) !== wanted) return false;
    // The interpreter that the environment was made from may be gone since.
    await run(python, ['-c', `import ${probe}`]);
    return true;
  } catch {
    return false;
  }
}

async function step(problem: string, command: string, args: readonly string[]): Promise<void> {
  try {
    await run(command, args, { timeout: STEP_LIMIT_MS });
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    const reason = (stderr?.trim() || message).split('\n').at(-1);
    throw new PythonMissing(`${problem}: ${reason}`, { cause: error });
  }
}
