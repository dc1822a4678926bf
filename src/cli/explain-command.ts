import type { Command } from 'commander';
import type { Explanation } from './api.js';
import { harmless, type Screen } from './screen.js';
import { Session, type Surroundings } from './session.js';
import { table } from './table.js';
import { count, span } from './units.js';

type Row = Explanation['nodes'][number];

/** `explain`: where a job would go now, or why it waits. */
export function addExplainCommand(program: Command, surroundings: Surroundings): void {
  program
    .command('explain')
    .description('where a job for these containers would go now, or why it waits')
    .argument('<containers...>', 'container ids; several are a chain, in this order')
    .addHelpText(
      'after',
      `
Examples:
  infernet-gateway explain my-llm
  infernet-gateway explain tokenizer my-llm --json
`,
    )
    .action(async (containers: string[], _options: unknown, command: Command) => {
      const session = await Session.open(surroundings, command);
      const reply = await session.client.get<Explanation>('/explain', { container: containers });
      session.answer(reply, (explanation) => explained(explanation, session.screen));
    });
}

function explained(explanation: Explanation, screen: Screen): string {
  const { nodes } = explanation;
  const verdict = harmless(verdictOf(explanation));
  if (nodes.length === 0) return `${verdict} No nodes are registered.`;
  const columns = table<Row>(
    [
      { title: 'NODE', value: ({ node }) => node.name ?? node.id },
      { title: 'EXPECTED', value: ({ expectedMs }) => time(expectedMs), align: 'right', dispensable: 1 },
      { title: 'SERVICE', value: ({ serviceMs }) => time(serviceMs), align: 'right', dispensable: 3 },
      { title: 'SLOTS', value: ({ slots }) => String(slots ?? ''), align: 'right', dispensable: 4 },
      { title: 'JOBS', value: ({ outstanding }) => String(outstanding), align: 'right', dispensable: 2 },
      { title: 'FOREIGN', value: ({ foreign }) => String(foreign), align: 'right', dispensable: 5 },
      {
        title: 'MAY HAVE IT',
        value: mayHaveIt,
        style: ({ eligible }) => (eligible === null ? 'dim' : eligible ? 'good' : 'warn'),
      },
    ],
    nodes,
    screen,
  );
  return `${screen.style('bold', verdict)}\n\n${columns}`;
}

/** Only the gateway that answered was asked: it cannot say that a job waits which a node of another one may have. */
function verdictOf({ containers, choice, waiting, nodes }: Explanation): string {
  const job = `a job for ${containers.join(' → ')}`;
  const others =
    waiting > 1 ? `; ${count(waiting - 1, 'other job')} ${waiting === 2 ? 'waits' : 'wait'} too` : '';
  if (choice !== null) return `Now, ${job} would go to ${choice.name ?? choice.id}${others}.`;
  const elsewhere = nodes.filter(({ eligible }) => eligible === null).length;
  if (elsewhere === 0) return `Now, ${job} would wait${others}.`;
  return `Now, no node of the gateway that answered would get ${job}${others}. Other gateways work with ${elsewhere} more.`;
}

function mayHaveIt({ eligible, reason }: Row): string {
  if (eligible === null) return 'another replica decides';
  return eligible ? 'yes' : `no: ${reason ?? ''}`;
}

function time(ms: number | null | undefined): string {
  return ms === null || ms === undefined ? '' : span(ms);
}
