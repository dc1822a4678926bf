/** The text of `--help`. */
export const HELP = `A gateway with three emulated nodes behind it, and an application that uses them.

npm run demo [-- options]

  --once   ends when everything was shown; exit code 0 if every job came back right
  --help   this text

Without --once it keeps running until Ctrl-C. The gateway takes its settings from the environment as
\`npm start\` does, with other defaults for HOST (127.0.0.1), DATA_DIR (.data/demo) and LOG_LEVEL (silent).
When its PORT (4000) is taken it listens on a free one.
`;

/** A command line that cannot be followed; the message is for the person who typed it. */
export class UsageError extends Error {}

/** What the demo is asked to do. */
export interface DemoOptions {
  readonly once: boolean;
}

/**
 * @param args without the interpreter and the script
 * @returns 'help' when asked for it
 * @throws UsageError naming the argument that is none
 */
export function demoOptions(args: readonly string[]): DemoOptions | 'help' {
  const unknown = args.find((arg) => !['--once', '--help', '-h'].includes(arg));
  if (unknown !== undefined) {
    throw new UsageError(`Unknown argument "${unknown}". Usage: npm run demo [-- --once | --help]`);
  }
  if (args.includes('--help') || args.includes('-h')) return 'help';
  return { once: args.includes('--once') };
}
