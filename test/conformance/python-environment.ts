import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const HERE = import.meta.dirname;
/** Ignored by git; kept between runs. */
const FOLDER = join(HERE, '../../.venv');
const PYTHON = join(FOLDER, 'bin', 'python');
const REQUIREMENTS = join(HERE, 'requirements.txt');
const NEWEST = join(HERE, 'newest-client.txt');
const NEWEST_FOLDER = join(FOLDER, 'newest-client');
/** The requirements that are installed; written last. */
const STAMP = join(FOLDER, 'installed.txt');
const STAND_INS = join(HERE, 'stand-ins');

const STEP_LIMIT_MS = 300_000;

/** Python or a package cannot be had here; the message says which and why, in one line. */
export class PythonMissing extends Error {}

/** A version of the official client, ready to be used. */
export interface Client {
  readonly version: string;
  /** What is special about the way it is installed. */
  readonly remark: string;
  readonly python: string;
  /** PYTHONPATH that selects it. */
  readonly pythonPath: string;
}

/**
 * The official clients, in a virtual environment that is made when it is missing or the requirements have changed.
 * @throws PythonMissing
 */
export async function officialClients(): Promise<Client[]> {
  const [requirements, newest] = await Promise.all([
    readFile(REQUIREMENTS, 'utf8'),
    readFile(NEWEST, 'utf8'),
  ]);
  if (!(await isInstalled(requirements + newest))) {
    await rm(FOLDER, { recursive: true, force: true });
    await step('there is no Python 3 with venv', 'python3', ['-m', 'venv', FOLDER]);
    await pipInstall('requirements.txt', ['-r', REQUIREMENTS]);
    await pipInstall('newest-client.txt', ['--no-deps', '--target', NEWEST_FOLDER, '-r', NEWEST]);
    await writeFile(STAMP, requirements + newest);
  }
  return [
    { version: versionIn(requirements), remark: 'as pip resolves it', python: PYTHON, pythonPath: '' },
    {
      version: versionIn(newest),
      remark: 'unmodified, with a stand-in for a dependency that was never published',
      python: PYTHON,
      pythonPath: [NEWEST_FOLDER, STAND_INS].join(delimiter),
    },
  ];
}

async function isInstalled(wanted: string): Promise<boolean> {
  try {
    if ((await readFile(STAMP, 'utf8')) !== wanted) return false;
    // The interpreter that the environment was made from may be gone since.
    await run(PYTHON, ['-c', 'import infernet_client']);
    return true;
  } catch {
    return false;
  }
}

function pipInstall(what: string, args: readonly string[]): Promise<void> {
  const pip = ['-m', 'pip', 'install', '--quiet', '--no-input', '--disable-pip-version-check'];
  return step(`${what} cannot be installed`, PYTHON, [...pip, ...args]);
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

function versionIn(requirements: string): string {
  return /^infernet-client==(\S+)$/m.exec(requirements)?.[1] ?? 'unknown';
}
