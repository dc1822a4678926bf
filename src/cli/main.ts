#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { messageOf } from '../errors.js';
import { CommandError, EXIT, UsageError } from './exit.js';
import { commandLine } from './program.js';
import { processScreen } from './screen.js';

/** The command `infernet-gateway`. */
async function main(args: readonly string[]): Promise<void> {
  const screen = processScreen(process.stdout, process.stderr);
  const surroundings = {
    environment: process.env,
    screen,
    exitWith: (code: number) => {
      process.exitCode = code;
    },
  };
  try {
    await commandLine(surroundings, packageVersion(), runGateway).parseAsync(args, { from: 'user' });
  } catch (error) {
    process.exitCode = report(error, (text) => screen.note(text));
  }
}

/** The program that `npm start` runs reads its settings from the environment. */
async function runGateway(changes: Readonly<Record<string, string>>): Promise<void> {
  Object.assign(process.env, changes);
  await import('../main.js');
}

/** @returns the exit code */
function report(error: unknown, note: (text: string) => void): number {
  // Commander has printed its own messages already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const isExpected = error instanceof CommandError || error instanceof UsageError;
  note(isExpected || !(error instanceof Error) ? messageOf(error) : (error.stack ?? error.message));
  return error instanceof UsageError ? EXIT.usage : EXIT.failure;
}

function packageVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

// Whoever reads the output may have seen enough, as `head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(EXIT.ok);
});

await main(process.argv.slice(2));
