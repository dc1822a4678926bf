import { constants } from 'node:os';
import { readSettings, SettingsError } from './config/settings.js';
import { messageOf } from './errors.js';
import { startGateway, type Gateway } from './gateway.js';
import { startTracing } from './tracing/start-tracing.js';

/** `npm start`: a gateway with the settings of the environment, until SIGINT or SIGTERM. */
async function main(): Promise<void> {
  const settings = readSettings(process.env);
  const tracing = startTracing(process.env);
  const starting = tracing.then(() => startGateway(settings, (line) => process.stdout.write(`${line}\n`)));
  stopOnSignal(starting, tracing);
  const gateway = await starting;
  process.stdout.write(`infernet-gateway listens on ${gateway.url}\n`);
  if (gateway.adminTokenIsNew) {
    process.stdout.write(`Admin token (shown once, kept in ${settings.dataDir}): ${gateway.adminToken}\n`);
  }
}

/** The first signal stops in phases, once the start is through; a second one ends the process at once, as that signal would. */
function stopOnSignal(starting: Promise<Gateway>, tracing: Promise<() => Promise<void>>): void {
  let stopping = false;
  const onSignal = (signal: 'SIGINT' | 'SIGTERM'): void => {
    if (stopping) process.exit(128 + constants.signals[signal]);
    stopping = true;
    starting
      .then((gateway) => gateway.stop())
      .then(async () => (await tracing)())
      .then(
        () => process.exit(0),
        (error: unknown) => fail(error),
      );
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
}

function fail(error: unknown): void {
  const text = error instanceof SettingsError || !(error instanceof Error) ? messageOf(error) : error.stack;
  process.stderr.write(`${text}\n`);
  process.exit(1);
}

main().catch(fail);
