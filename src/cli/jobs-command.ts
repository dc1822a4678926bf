import { InvalidArgumentError, Option, type Command } from 'commander';
import { JOB_STATES, type JobDetails, type JobPage } from './api.js';
import { UsageError } from './exit.js';
import { findNode, nodesOf } from './find-node.js';
import { jobDetails, jobTable } from './job-words.js';
import { Session, type Surroundings } from './session.js';
import { count } from './units.js';

interface FilterOptions {
  readonly node?: string;
  readonly container?: string;
  readonly caller?: string;
}

interface ListOptions extends FilterOptions {
  readonly status?: string;
  readonly limit: number;
  readonly cursor?: string;
}

const MAX_LIMIT = 1_000;
const JOB = 'a job’s id';

/** `jobs …`: what applications have handed in. */
export function addJobsCommand(program: Command, surroundings: Surroundings): void {
  const jobs = program
    .command('jobs')
    .description('list, show, retry and cancel jobs')
    .addHelpText('after', EXAMPLES);

  withFilter(jobs.command('list'))
    .alias('ls')
    .description('jobs, newest first')
    .addOption(new Option('--status <state>', 'only jobs in this state').choices(JOB_STATES))
    .option('--limit <jobs>', `how many, at most ${MAX_LIMIT}`, limit, 25)
    .option('--cursor <cursor>', 'where to go on, from the list before')
    .action(async (options: ListOptions, command: Command) => {
      const session = await Session.open(surroundings, command);
      const { status, cursor } = options;
      const wanted = { ...(await filterOf(session, options)), status, cursor, limit: String(options.limit) };
      const reply = await session.client.get<JobPage>('/jobs', wanted);
      session.answer(reply, (page) => jobTable(page.jobs, session.screen));
      if (reply.value.cursor !== null) session.remark(`More: --cursor ${reply.value.cursor}`);
    });

  jobs
    .command('show')
    .description('one job: what happened to it and when, every attempt, how its result begins')
    .argument('<job>', JOB)
    .action(async (id: string, _options: unknown, command: Command) => {
      const session = await Session.open(surroundings, command);
      const reply = await session.client.get<JobDetails>(`/jobs/${encodeURIComponent(id)}`);
      session.answer(reply, (job) => jobDetails(job, session.screen));
    });

  withFilter(jobs.command('retry'))
    .description('starts failed or cancelled jobs anew; their former results stay in the timeline')
    .argument('[jobs...]', JOB)
    .option('--failed', 'all failed jobs, or those of them that the filters let through')
    .action(async (ids: string[], options: FilterOptions & { failed?: true }, command: Command) => {
      checkRetry(ids, options);
      const session = await Session.open(surroundings, command);
      if (ids.length > 0) return eachJob(session, ids, 'retry', 'starts anew');
      const reply = await session.client.call<{ retried: number }>(
        'POST',
        '/jobs/retry',
        await filterOf(session, options),
      );
      session.answer(
        reply,
        ({ retried }) => `${count(retried, 'job')} ${retried === 1 ? 'starts' : 'start'} anew`,
      );
    });

  jobs
    .command('cancel')
    .description('ends jobs; a node that has one runs on, and its result is ignored')
    .argument('<jobs...>', JOB)
    .action(async (ids: string[], _options: unknown, command: Command) => {
      await eachJob(await Session.open(surroundings, command), ids, 'cancel', 'is cancelled');
    });
}

function withFilter(command: Command): Command {
  return command
    .option('--node <node>', 'only jobs that were tried on this node (name, id or URL)')
    .option('--container <id>', 'only jobs with this container')
    .option('--caller <address>', 'only jobs of this caller');
}

async function filterOf(session: Session, { node, container, caller }: FilterOptions) {
  return {
    node: node === undefined ? undefined : findNode(await nodesOf(session.client), node).id,
    container,
    caller,
  };
}

/** @throws UsageError unless either ids or --failed, with or without filters, are given */
function checkRetry(ids: readonly string[], { failed, ...filter }: FilterOptions & { failed?: true }): void {
  const hasFilter = Object.values(filter).some((value) => value !== undefined);
  if (ids.length === 0 && failed === undefined) {
    throw new UsageError('Name the jobs to retry, or use --failed for all failed ones.');
  }
  if (ids.length > 0 && (failed !== undefined || hasFilter)) {
    throw new UsageError('Either name jobs, or use --failed and its filters; not both.');
  }
}

async function eachJob(session: Session, ids: readonly string[], act: string, done: string): Promise<void> {
  await session.each(ids, async (id) => {
    const path = `/jobs/${encodeURIComponent(id)}/${act}`;
    session.answer(await session.client.call<JobDetails>('POST', path), (job) => `${job.id} ${done}`);
  });
}

function limit(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > MAX_LIMIT) {
    throw new InvalidArgumentError(`A whole number from 1 to ${MAX_LIMIT} is expected.`);
  }
  return value;
}

const EXAMPLES = `
Examples:
  infernet-gateway jobs list --status failed --node basement
  infernet-gateway jobs show 019e5f6a-3c1b-7d52-9a64-0f2c8f6d9b11
  infernet-gateway jobs retry --failed --container my-llm
  infernet-gateway jobs list --status queued --json | jq -r '.jobs[].id' | xargs infernet-gateway jobs cancel
`;
