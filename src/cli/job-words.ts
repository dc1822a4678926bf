import type { JobDetails, JobRow } from './api.js';
import { harmless, type Screen, type Style } from './screen.js';
import { pairs, table } from './table.js';
import { age, span } from './units.js';

const STATE_STYLE: Readonly<Record<string, Style>> = {
  succeeded: 'good',
  failed: 'bad',
  cancelled: 'bad',
  retrying: 'warn',
};

/** Jobs as a table. */
export function jobTable(jobs: readonly JobRow[], screen: Screen): string {
  if (jobs.length === 0) return 'No jobs.';
  const now = Date.now();
  return table<JobRow>(
    [
      { title: 'ID', value: ({ id }) => id },
      { title: 'STATE', value: ({ state }) => state, style: ({ state }) => STATE_STYLE[state] },
      { title: 'AGE', value: ({ createdAt }) => age(createdAt, now), align: 'right', dispensable: 2 },
      { title: 'TOOK', value: took, align: 'right', dispensable: 3 },
      { title: 'FAILURES', value: ({ failures }) => String(failures), align: 'right', dispensable: 5 },
      { title: 'CALLER', value: ({ caller }) => caller, dispensable: 4 },
      { title: 'CONTAINERS', value: chain, dispensable: 1 },
    ],
    jobs,
    screen,
  );
}

/** One job with its timeline and how its results begin. */
export function jobDetails(job: JobDetails, screen: Screen): string {
  const now = Date.now();
  const entries: [string, string][] = [
    ['id', job.id],
    ['state', job.state],
    ['containers', chain(job)],
    ['caller', job.caller],
    ['accepted', `${job.createdAt}, ${age(job.createdAt, now)} ago`],
    job.finishedAt === null
      ? ['deadline', job.deadlineAt ?? 'none']
      : ['ended', `${job.finishedAt}, after ${took(job)}`],
    ['failed attempts', String(job.failures)],
  ];
  if (job.generation > 1) entries.push(['generation', `${job.generation}: it was retried by an operator`]);
  const timeline = job.timeline.map(({ at, text }) => [at, text] as const);
  const results = job.results.map(({ generation, bytes, preview }) => {
    const which = job.results.length > 1 ? ` of generation ${generation}` : '';
    const title = screen.style('bold', `Result${which}, ${bytes} bytes`);
    return `\n\n${title}\n${harmless(preview)}${Buffer.byteLength(preview) < bytes ? ' …' : ''}`;
  });
  const head = pairs(entries, screen);
  return `${head}\n\n${screen.style('bold', 'Timeline')}\n${pairs(timeline, screen)}${results.join('')}`;
}

function chain({ containers }: JobRow): string {
  return containers.join(' → ');
}

function took({ createdAt, finishedAt }: JobRow): string {
  return finishedAt === null ? '' : span(Date.parse(finishedAt) - Date.parse(createdAt));
}
