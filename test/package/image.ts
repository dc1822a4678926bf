import { execFile } from 'node:child_process';
import { chmod, cp, lstat, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { basename, join, posix } from 'node:path';
import { promisify } from 'node:util';
import { instructionsOf, type Instruction } from './dockerfile.js';

/** The folders that images may use; each stage has its own, below a folder of the host. */
const ROOTS = ['/build', '/app', '/data'];

/** What a stage of the Dockerfile has become. */
export class Stage {
  workdir = '/';
  user: string | undefined;
  readonly environment: Record<string, string> = {};
  command: readonly string[] = [];
  healthcheck: readonly string[] = [];

  constructor(
    readonly base: string,
    /** The folder of the host that stands for `/`. */
    readonly root: string,
  ) {}

  /** Where a path of the image is on the host. */
  path(inImage: string): string {
    return join(this.root, posix.resolve(this.workdir, inImage));
  }

  /** A text in which the image's folders are those of the host. */
  onHost(text: string): string {
    return text.replace(new RegExp(`(?<![\\w./-])(${ROOTS.join('|')})(?![\\w-])`, 'g'), (found) =>
      this.path(found),
    );
  }
}

/**
 * Follows a Dockerfile's steps on the host: each stage is a folder, COPY copies, and RUN runs in that folder with the
 * host's programs, those of `path` first. It stands in for an engine where there is none; what it cannot show is what
 * the base image lacks.
 *
 * @param context files as `docker build` would send them
 * @returns the last stage
 */
export async function buildOnHost(
  dockerfile: string,
  context: string,
  options: { readonly folder: string; readonly path: string; readonly log: (line: string) => void },
): Promise<{ readonly image: Stage; readonly stages: ReadonlyMap<string, Stage> }> {
  const stages = new Map<string, Stage>();
  let stage: Stage | undefined;
  for (const instruction of instructionsOf(await readFile(dockerfile, 'utf8'))) {
    options.log(`${instruction.name} ${instruction.rest.slice(0, 90)}`);
    if (instruction.name === 'FROM') {
      const [base = '', , name = 'image'] = instruction.rest.split(' ');
      stage = new Stage(base, await mkdtemp(join(options.folder, `${name}-`)));
      await chmod(stage.root, 0o755);
      stages.set(name, stage);
      continue;
    }
    if (stage === undefined) throw new Error('the Dockerfile does not begin with FROM');
    await follow(instruction, stage, stages, context, options.path);
  }
  if (stage === undefined) throw new Error('the Dockerfile is empty');
  return { image: stage, stages };
}

async function follow(
  { name, rest }: Instruction,
  stage: Stage,
  stages: ReadonlyMap<string, Stage>,
  context: string,
  path: string,
): Promise<void> {
  switch (name) {
    case 'WORKDIR':
      stage.workdir = rest;
      await mkdir(stage.path(rest), { recursive: true });
      return;
    case 'ENV':
      for (const [, key = '', value = ''] of rest.matchAll(/(\w+)=(\S+)/g)) stage.environment[key] = value;
      return;
    case 'USER':
      stage.user = rest;
      return;
    case 'COPY':
      return copy(rest, stage, stages, context);
    case 'RUN':
      await promisify(execFile)(
        'sh',
        ['-c', stage.onHost(process.getuid?.() === 0 ? rest : withoutChown(rest))],
        {
          cwd: stage.path('.'),
          env: { ...inherited(path), ...stage.environment },
          maxBuffer: 64 << 20,
        },
      );
      return;
    case 'CMD':
      stage.command = JSON.parse(rest) as string[];
      return;
    case 'HEALTHCHECK':
      stage.healthcheck = JSON.parse(rest.slice(rest.indexOf('CMD ') + 4)) as string[];
  }
}

/** Only root may give files away, and what an ordinary user makes here it may also use. */
function withoutChown(command: string): string {
  return command.replace(/\bchown\b/g, 'true');
}

/** As COPY does: of a folder its contents, into a folder that ends in a slash or stands for several sources. */
async function copy(
  rest: string,
  stage: Stage,
  stages: ReadonlyMap<string, Stage>,
  context: string,
): Promise<void> {
  const words = rest.split(' ');
  const from = words[0]?.startsWith('--from=') ? stages.get(words.shift()?.slice(7) ?? '') : undefined;
  const target = words.pop() ?? '';
  for (const word of words) {
    const source = from === undefined ? join(context, word) : from.path(word);
    const isFolder = (await lstat(source)).isDirectory();
    const destination = isFolder || !target.endsWith('/') ? target : posix.join(target, basename(word));
    await cp(source, stage.path(destination), { recursive: true, verbatimSymlinks: true });
  }
}

/** What programs need of this process's environment: nothing of the npm that may run it. */
export function inherited(path: string): Record<string, string> {
  const { HOME = '/', TMPDIR } = process.env;
  const registry = Object.entries(process.env).filter(([name]) =>
    /^npm_config_(registry|cache|.*proxy)$/i.test(name),
  );
  return {
    PATH: path,
    HOME,
    ...(TMPDIR === undefined ? {} : { TMPDIR }),
    ...(Object.fromEntries(registry) as Record<string, string>),
  };
}

/** Removes what `buildOnHost` made. */
export async function removeStages(stages: ReadonlyMap<string, Stage>): Promise<void> {
  for (const { root } of stages.values()) await rm(root, { recursive: true, force: true });
}
