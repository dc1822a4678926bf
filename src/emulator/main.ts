import { HELP, nodesOf, UsageError } from './command-line.js';
import { EmulatedNode } from './emulated-node.js';

/** Starts the nodes that the command line asks for and runs until SIGINT or SIGTERM. */
async function main(args: readonly string[]): Promise<void> {
  const setups = nodesOf(args);
  if (setups === 'help') {
    process.stdout.write(HELP);
    return;
  }
  const nodes: EmulatedNode[] = [];
  const stop = (): void => void Promise.all(nodes.map((node) => node.stop()));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    for (const setup of setups) {
      const node = await EmulatedNode.start(setup);
      nodes.push(node);
      process.stdout.write(`${node.name} ${node.url}\n`);
    }
  } catch (error) {
    stop();
    throw error;
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
