import { InvalidArgumentError, type Command } from 'commander';
import type { NodeRow } from './api.js';
import { UsageError } from './exit.js';
import { findNode, nodesOf } from './find-node.js';
import { nodeDetails, nodeTable, nodeWords } from './node-words.js';
import { untilIdle, untilRemoved } from './open-work.js';
import { Session, type Surroundings } from './session.js';
import { count } from './units.js';

interface WishOptions {
  readonly name?: string;
  readonly weight?: number;
  readonly maxInFlight?: number | 'none';
  readonly label?: Readonly<Record<string, string>>;
  readonly header?: Readonly<Record<string, string>>;
}

interface SetOptions extends WishOptions {
  readonly nodeUrl?: string;
  readonly clearLabels?: true;
  readonly clearHeaders?: true;
}

const NODE = 'a node’s name, id or URL';

/** `nodes …`: the fleet. */
export function addNodesCommand(program: Command, surroundings: Surroundings): void {
  const nodes = program
    .command('nodes')
    .description('list, register, change, approve, drain and remove nodes')
    .addHelpText('after', EXAMPLES);

  nodes
    .command('list')
    .alias('ls')
    .description('all nodes: health, jobs in flight, limits, last error')
    .action(async (_options: unknown, command: Command) => {
      const session = await Session.open(surroundings, command);
      session.answer(await session.client.get<{ nodes: NodeRow[] }>('/nodes'), (value) =>
        nodeTable(value.nodes, session.screen),
      );
    });

  nodes
    .command('show')
    .description('one node in full, with what the gateway has learned of it')
    .argument('<node>', NODE)
    .action(async (name: string, _options: unknown, command: Command) => {
      const session = await Session.open(surroundings, command);
      const { id } = findNode(await nodesOf(session.client), name);
      session.answer(await session.client.get<NodeRow>(`/nodes/${id}`), (node) =>
        nodeDetails(node, session.screen),
      );
    });

  withWishes(nodes.command('add'))
    .description('registers a node; one that is down is registered too and gets jobs when it comes up')
    .argument('<url>', 'where the node listens, such as http://10.0.0.7:4000')
    .action(async (url: string, options: WishOptions, command: Command) => {
      const session = await Session.open(surroundings, command);
      const reply = await session.client.call<NodeRow>('POST', '/nodes', { url, ...wishesOf(options) });
      session.answer(reply, (node) => `Registered ${nodeWords(node)}`);
    });

  withWishes(nodes.command('set'))
    .description('changes a node; what is not named stays as it is')
    .argument('<node>', NODE)
    .option('--node-url <url>', 'a node that has moved; it keeps its jobs')
    .option('--clear-labels', 'removes all labels')
    .option('--clear-headers', 'removes all headers')
    .action(async (name: string, options: SetOptions, command: Command) => {
      const wishes = {
        ...wishesOf(options),
        ...(options.nodeUrl === undefined ? {} : { url: options.nodeUrl }),
        ...(options.clearLabels ? { labels: {} } : {}),
        ...(options.clearHeaders ? { headers: {} } : {}),
      };
      if (Object.keys(wishes).length === 0) {
        throw new UsageError(
          'Nothing to change was named; `infernet-gateway nodes set --help` shows what can be.',
        );
      }
      const session = await Session.open(surroundings, command);
      const { id } = findNode(await nodesOf(session.client), name);
      session.answer(await session.client.call<NodeRow>('PATCH', `/nodes/${id}`, wishes), (node) =>
        nodeDetails(node, session.screen),
      );
    });

  const addDecision = (decision: 'approve' | 'resume', description: string): void =>
    void nodes
      .command(decision)
      .description(description)
      .argument('<nodes...>', NODE)
      .action(async (names: string[], _options: unknown, command: Command) => {
        const session = await Session.open(surroundings, command);
        const fleet = await nodesOf(session.client);
        await session.each(names, async (name) => {
          const { id } = findNode(fleet, name);
          session.answer(await session.client.call<NodeRow>('POST', `/nodes/${id}/${decision}`), nodeWords);
        });
      });

  addDecision('approve', 'lets nodes from a node explorer have callers’ data');

  nodes
    .command('drain')
    .description('gives nodes no new jobs; those that run there are collected')
    .argument('<nodes...>', NODE)
    .option('--wait', 'returns once no job of the gateway runs there any more')
    .action(async (names: string[], { wait }: { wait?: true }, command: Command) => {
      const session = await Session.open(surroundings, command);
      const fleet = await nodesOf(session.client);
      await session.each(names, async (name) => {
        const { id } = findNode(fleet, name);
        const reply = await session.client.call<NodeRow>('POST', `/nodes/${id}/drain`);
        if (wait) {
          session.remark(`${name}: waiting for its jobs to end`);
          await untilIdle(session.client, id);
        }
        session.answer(
          reply,
          (node) => `${node.name} is draining${wait ? '; nothing of ours runs there' : ''}`,
        );
      });
    });

  addDecision('resume', 'takes back a drain, or a removal that is not complete');

  nodes
    .command('remove')
    .alias('rm')
    .description('removes nodes once their jobs have ended; their history stays')
    .argument('<nodes...>', NODE)
    .option('--force', 'at once: their jobs go to other nodes')
    .option('--wait', 'returns once they are removed')
    .action(async (names: string[], options: { force?: true; wait?: true }, command: Command) => {
      const session = await Session.open(surroundings, command);
      const fleet = await nodesOf(session.client);
      await session.each(names, async (name) => {
        const { id } = findNode(fleet, name);
        const query = options.force ? '?force=true' : '';
        const reply = await session.client.call<NodeRow>('DELETE', `/nodes/${id}${query}`);
        if (options.wait) await untilRemoved(session.client, id);
        const isGone = options.wait === true || options.force === true;
        session.answer(reply, (node) =>
          isGone
            ? `${node.name} is removed`
            : `${node.name} is being removed; ${count(node.inFlight, 'job')} in flight`,
        );
      });
    });
}

function withWishes(command: Command): Command {
  return command
    .option('--name <name>', 'how people call it (default: its host, port and path)')
    .option('--weight <number>', 'its share of work relative to other nodes (default: 1)', positive)
    .option('--max-in-flight <jobs>', 'the most jobs it may have at a time, or "none"', cap)
    .option('--label <key=value>', 'a note of your own; repeat it for more; replaces those it had', label)
    .option(
      '--header <name: value>',
      'goes out with each request to it; repeat it for more; replaces',
      header,
    );
}

function wishesOf({ name, weight, maxInFlight, label: labels, header: headers }: WishOptions): object {
  return {
    ...(name === undefined ? {} : { name }),
    ...(weight === undefined ? {} : { weight }),
    ...(maxInFlight === undefined ? {} : { maxInFlight: maxInFlight === 'none' ? null : maxInFlight }),
    ...(labels === undefined ? {} : { labels }),
    ...(headers === undefined ? {} : { headers }),
  };
}

function positive(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) {
    throw new InvalidArgumentError('A number above 0 is expected.');
  }
  return value;
}

/** Commander takes a null for no value at all. */
function cap(text: string): number | 'none' {
  if (text === 'none') return text;
  if (!/^[1-9]\d*$/.test(text))
    throw new InvalidArgumentError('A whole number above 0, or none, is expected.');
  return Number(text);
}

function label(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { ...before, ...entry(text, '=', 'key=value') };
}

function header(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { ...before, ...entry(text, ':', 'name: value') };
}

function entry(text: string, separator: string, shape: string): Record<string, string> {
  const at = text.indexOf(separator);
  if (at < 1) throw new InvalidArgumentError(`${shape} is expected.`);
  return { [text.slice(0, at).trim()]: text.slice(at + 1).trim() };
}

const EXAMPLES = `
Examples:
  infernet-gateway nodes list
  infernet-gateway nodes add http://10.0.0.7:4000 --name basement --weight 2
  infernet-gateway nodes set basement --max-in-flight 8 --label rack=a3
  infernet-gateway nodes approve 10.0.0.9:4000
  infernet-gateway nodes drain basement --wait && ssh basement sudo reboot
  infernet-gateway nodes resume basement
  infernet-gateway nodes list --json | jq -r '.nodes[] | select(.health == "down") | .name'
`;
