import { Command } from 'commander';
import { adminToken } from './access.js';
import { addExplainCommand } from './explain-command.js';
import { addJobsCommand } from './jobs-command.js';
import { addNodesCommand } from './nodes-command.js';
import type { Surroundings } from './session.js';
import { addStartCommand } from './start-command.js';

const HELP_WIDTH = 100;

/**
 * The command line with all its commands. It throws instead of ending the process: a `CommanderError` for help, the
 * version and what commander cannot follow, else `UsageError` and `CommandError`.
 *
 * @param version this package's
 * @param runGateway runs a gateway in this process, its environment changed as given
 */
export function commandLine(
  surroundings: Surroundings,
  version: string,
  runGateway: (changes: Readonly<Record<string, string>>) => Promise<void>,
): Command {
  const { screen, environment } = surroundings;
  const program = new Command('infernet-gateway')
    .description('One endpoint for many Infernet nodes: starts a gateway, and operates one that runs.')
    .version(version, '-V, --version', 'prints the version')
    .helpOption('-h, --help', 'explains a command')
    .helpCommand('help [command]', 'explains a command')
    .option('--url <url>', 'the gateway (GATEWAY_URL; default: http://127.0.0.1:4000)')
    .option('--token <token>', 'its admin token (ADMIN_TOKEN; default: the file in DATA_DIR)')
    .option('--json', 'prints the answer as JSON, for scripts')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      getOutHelpWidth: () => Math.min(screen.columns ?? HELP_WIDTH, HELP_WIDTH),
      getErrHelpWidth: () => Math.min(screen.columns ?? HELP_WIDTH, HELP_WIDTH),
      outputError: (text, write) => write(screen.style('bad', text.trimEnd()) + '\n'),
    })
    .addHelpText('after', NOTES);

  addStartCommand(program, surroundings, runGateway);
  addNodesCommand(program, surroundings);
  addJobsCommand(program, surroundings);
  addExplainCommand(program, surroundings);
  program
    .command('token')
    .description('prints the admin token that commands would use')
    .addHelpText(
      'after',
      `
Example:
  curl -s localhost:4000/admin/nodes -H "Authorization: Bearer $(infernet-gateway token)"
`,
    )
    .action(async (_options: unknown, command: Command) => {
      const { token: option, json } = command.optsWithGlobals<{ token?: string; json?: true }>();
      const { token, source } = await adminToken(option, environment);
      screen.print(json ? JSON.stringify({ token, source }) : token);
    });
  program
    .command('version')
    .description('prints the version of this package and of Node.js')
    .action((_options: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<{ json?: true }>();
      const node = process.versions.node;
      screen.print(json ? JSON.stringify({ version, node }) : `infernet-gateway ${version}, Node.js ${node}`);
    });
  return program;
}

const NOTES = `
Exit codes:
  0  done
  1  it failed: no gateway there, wrong token, no such node or job, refused
  2  wrong usage: a command, option, argument or setting that cannot be used

Output is cut to a terminal's width and coloured there; elsewhere, and with NO_COLOR, it is neither.

Examples:
  infernet-gateway start --nodes http://10.0.0.5:4000
  infernet-gateway nodes list
  infernet-gateway jobs list --status failed
  infernet-gateway explain my-llm
  GATEWAY_URL=https://gateway.example ADMIN_TOKEN=… infernet-gateway nodes list --json
`;
