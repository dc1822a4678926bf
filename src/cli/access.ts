import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../errors.js';
import { CommandError, UsageError } from './exit.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** The admin token, and where it was found, for messages about it. */
export interface FoundToken {
  readonly token: string;
  readonly source: string;
}

/**
 * Where the gateway is: `--url`, else GATEWAY_URL, else the port of this machine that PORT names, 4000 by default.
 * @throws UsageError
 */
export function gatewayUrl(option: string | undefined, environment: Environment): URL {
  const local = `http://127.0.0.1:${environment['PORT'] || '4000'}`;
  const text = option ?? (environment['GATEWAY_URL'] || local);
  const url = text.includes('://') ? text : `http://${text}`;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new UsageError(`The gateway's URL cannot be used: "${text}". Expected something like ${local}.`);
  }
  return new URL(url);
}

/**
 * The admin token: `--token`, else ADMIN_TOKEN, else the file that the gateway writes into its data folder.
 * @throws CommandError when there is none; UsageError when it cannot be one
 */
export async function adminToken(option: string | undefined, environment: Environment): Promise<FoundToken> {
  const found = given(option, environment) ?? (await stored(environment['DATA_DIR'] || '.data'));
  if (!/^[\u0021-\u007e]+$/.test(found.token)) {
    throw new UsageError(`The admin token from ${found.source} has characters that no token has.`);
  }
  return found;
}

function given(option: string | undefined, environment: Environment): FoundToken | undefined {
  if (option !== undefined) return { token: option, source: '--token' };
  const token = environment['ADMIN_TOKEN'];
  return token ? { token, source: 'ADMIN_TOKEN' } : undefined;
}

async function stored(dataDir: string): Promise<FoundToken> {
  const file = join(dataDir, 'admin-token');
  try {
    const token = (await readFile(file, 'utf8')).trim();
    if (token !== '') return { token, source: file };
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOENT') {
      throw new CommandError(`The admin token cannot be read: ${messageOf(error)}`, { cause: error });
    }
  }
  throw new CommandError(
    `No admin token: ${file} does not exist. Set ADMIN_TOKEN to the gateway's, or run this where the gateway ` +
      'runs, with its DATA_DIR.',
  );
}
