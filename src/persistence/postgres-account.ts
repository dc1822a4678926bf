import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Whom the PostgreSQL programs run as. Without `owner` and `prefix`: the user of this process. */
export interface ServerAccount {
  /** Numeric ids to switch to; they must own the cluster's files. */
  owner?: { uid: number; gid: number };
  /** A command, with its arguments, to run the programs under. */
  prefix?: [command: string, ...args: string[]];
}

/**
 * PostgreSQL refuses to run as root. When this process is root, its programs run as the system user
 * `postgres`, made if there is none. That user may be unable to reach the project, as below /root; then
 * they run inside a user namespace, where root bears another user's number but keeps access to its files.
 *
 * @param paths What the server must reach: its programs, and its data directory, which it will own.
 * @param currentOwner Owner of an existing cluster, which must stay the owner; undefined for a new one.
 * @throws Error saying what to do when neither way is possible.
 */
export async function serverAccount(
  paths: string[],
  currentOwner?: { uid: number; gid: number },
): Promise<ServerAccount> {
  if (process.getuid?.() !== 0) return {};
  const blocked = await firstUnreachable(paths);
  if (blocked === undefined && currentOwner?.uid !== 0) {
    return { owner: currentOwner ? { uid: currentOwner.uid, gid: currentOwner.gid } : await postgresUser() };
  }
  try {
    const prefix: ServerAccount['prefix'] = ['unshare', '--user', ...mapTo(await idsOf('nobody'))];
    await run(prefix[0], [...prefix.slice(1), 'true']);
    return { prefix };
  } catch (cause) {
    const reason =
      blocked === undefined ? 'its data belongs to root' : `other users may not enter ${blocked}`;
    throw new Error(
      `The embedded PostgreSQL cannot run as root, and not as another user either because ${reason}. ` +
        'Start the gateway as an ordinary user, move it to a directory such as /opt, or set DATABASE_URL.',
      { cause },
    );
  }
}

async function postgresUser(): Promise<{ uid: number; gid: number }> {
  try {
    return await idsOf('postgres');
  } catch {
    await run('useradd', [
      '--system',
      '--user-group',
      '--no-create-home',
      '--shell',
      '/usr/sbin/nologin',
      'postgres',
    ]);
    return idsOf('postgres');
  }
}

async function idsOf(user: string): Promise<{ uid: number; gid: number }> {
  const [uid, gid] = await Promise.all([run('id', ['-u', user]), run('id', ['-g', user])]);
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

function mapTo({ uid, gid }: { uid: number; gid: number }): string[] {
  return [`--map-user=${uid}`, `--map-group=${gid}`];
}

/** The first directory on the way to one of `paths` that only its owner or group may pass. */
async function firstUnreachable(paths: string[]): Promise<string | undefined> {
  for (const path of paths) {
    for (let current = dirname(path); ; current = dirname(current)) {
      if (((await stat(current)).mode & 0o001) === 0) return current;
      if (current === dirname(current)) break;
    }
  }
  return undefined;
}
