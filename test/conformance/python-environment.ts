import { readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { pythonEnvironment } from '../support/python.js';

const HERE = import.meta.dirname;
const FOLDER = join(HERE, '../../.venv');
const REQUIREMENTS = join(HERE, 'requirements.txt');
const NEWEST = join(HERE, 'newest-client.txt');
const NEWEST_FOLDER = join(FOLDER, 'newest-client');
const STAND_INS = join(HERE, 'stand-ins');

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
 * The official clients, installed when they are missing or the requirements have changed.
 * @throws PythonMissing
 */
export async function officialClients(): Promise<Client[]> {
  const [requirements, newest] = await Promise.all([
    readFile(REQUIREMENTS, 'utf8'),
    readFile(NEWEST, 'utf8'),
  ]);
  const files = [
    { file: REQUIREMENTS, text: requirements, pipOptions: [] },
    { file: NEWEST, text: newest, pipOptions: ['--no-deps', '--target', NEWEST_FOLDER] },
  ];
  const python = await pythonEnvironment(FOLDER, files, 'infernet_client');
  return [
    { version: versionIn(requirements), remark: 'as pip resolves it', python, pythonPath: '' },
    {
      version: versionIn(newest),
      remark: 'unmodified, with a stand-in for a dependency that was never published',
      python,
      pythonPath: [NEWEST_FOLDER, STAND_INS].join(delimiter),
    },
  ];
}

function versionIn(requirements: string): string {
  return /^infernet-client==(\S+)$/m.exec(requirements)?.[1] ?? 'unknown';
}
