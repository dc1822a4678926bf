import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, it } from 'vitest';
import type { Command } from 'commander';
import { commandLine } from '../../src/cli/program.js';

const ROOT = join(import.meta.dirname, '../..');

/** Every Markdown file of the project → its text. */
const PAGES = new Map(
  execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '*.md'], { cwd: ROOT })
    .toString()
    .split('\0')
    .filter((file) => file !== '' && existsSync(join(ROOT, file)))
    .map((file) => [file, readFileSync(join(ROOT, file), 'utf8')]),
);

/** Without fenced blocks, in which brackets mean other things. */
function prose(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, '');
}

/** Anchors of a page's headings, made as GitHub makes them. */
function anchors(text: string): Set<string> {
  const seen = new Map<string, number>();
  const headings = [...prose(text).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => {
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}\s_-]/gu, '')
      .replace(/\s/g, '-');
    const before = seen.get(slug) ?? 0;
    seen.set(slug, before + 1);
    return before === 0 ? slug : `${slug}-${before}`;
  });
  return new Set(headings);
}

it('every relative link leads to a file, and to a heading of it', () => {
  const broken: string[] = [];
  for (const [page, text] of PAGES) {
    const inLine = [...prose(text).matchAll(/(?<!!\[[^\]]*)\]\(([^()\s]+)\)/g)].map(([, link]) => link ?? '');
    for (const link of inLine) {
      if (/^[a-z]+:/i.test(link)) continue;
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page : normalize(join(dirname(page), decodeURIComponent(path)));
      if (!existsSync(join(ROOT, target))) broken.push(`${page}: ${link}`);
      else if (anchor !== undefined && !anchors(PAGES.get(target) ?? '').has(anchor))
        broken.push(`${page}: ${link}`);
    }
  }
  expect(PAGES.size).toBeGreaterThan(10);
  expect(broken).toEqual([]);
});

it('every npm script that is mentioned exists', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const missing: string[] = [];
  for (const [page, text] of PAGES) {
    for (const [mention, name = ''] of text.matchAll(/npm run (?:-s )?([\w:]+)/g)) {
      if (!Object.hasOwn(scripts, name)) missing.push(`${page}: ${mention}`);
    }
  }
  expect(missing).toEqual([]);
});

it('every command and option of infernet-gateway that is mentioned exists', () => {
  const screen = {
    columns: undefined,
    print: () => undefined,
    note: () => undefined,
    style: (_: string, text: string) => text,
  };
  const surroundings = { environment: {}, screen, exitWith: () => undefined };
  const program = commandLine(surroundings, '0.0.0', async () => {});
  const missing: string[] = [];
  for (const [page, text] of PAGES) {
    const mentions = text.matchAll(
      /(?:npx infernet-gateway|^ *infernet-gateway|`infernet-gateway|cli\/main\.js) ([^`|&)\n]+)/gm,
    );
    for (const [, words = ''] of mentions) {
      const problem = unknownIn(program, words.trim().split(/\s+/));
      if (problem !== undefined) missing.push(`${page}: infernet-gateway ${words} (${problem})`);
    }
  }
  expect(missing).toEqual([]);
});

function unknownIn(program: Command, words: readonly string[]): string | undefined {
  let command = program;
  for (const word of words) {
    if (word === '--help' || word === '--version' || word === 'help') continue;
    if (word.startsWith('--')) {
      const known = [...command.options, ...program.options].some(({ long }) => long === word);
      if (!known) return word;
    } else if (command.commands.length > 0 && /^[a-z]+$/.test(word)) {
      const next = command.commands.find((each) => each.name() === word || each.aliases().includes(word));
      if (next === undefined) return word;
      command = next;
    }
  }
  return undefined;
}
