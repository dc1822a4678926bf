import { readSettings, SettingsError } from './config/settings.js';
import { messageOf } from './errors.js';
import { startGateway, type Gateway } from './gateway.js';

/** `npm start`: a gateway with the settings of the environment, until SIGINT or SIGTERM. */
async function main(): Promise<void> {
  const settings = readSettings(process.env);
  const starting = startGateway(settings, (line) => process.stdout.write(`${line}\n`));
  stopOnSignal(starting);
  const gateway = await starting;
  process.stdout.write(`infernet-gateway listens on ${gateway.url}\n`);
  if (gateway.adminTokenIsNew) {
    process.stdout.write(`Admin token (shown once, kept in ${settings.dataDir}): ${gateway.adminToken}\n`);
  }
}

/** The first signal stops in order, once the start is through; a second one does not wait. */
function stopOnSignal(starting: Promise<Gateway>): void {
  let signals = 0;
  const onSignal = (): void => {
    signals += 1;
    if (signals > 1) process.exit(1);
    starting
      .then((gateway) => gateway.stop())
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
