/** A stand-in for the gateway: starts the embedded server, prints its URL, and waits to be killed. */
import { startEmbeddedPostgres } from '../../src/persistence/embedded-postgres.js';

const [dataDir = '', fate] = process.argv.slice(2);
const postgres = await startEmbeddedPostgres({ dataDir });
// Before the URL is printed: the test sends the signal as soon as it has read it.
process.once('SIGTERM', () => void postgres.stop().then(() => process.exit(0)));
console.log(postgres.url);
if (fate === 'exit') process.exit(0);
