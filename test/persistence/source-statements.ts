import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const SOURCE = join(import.meta.dirname, '../../src');

/** A raw statement in the source: its text between the parameters, spaces reduced. */
export interface SourceStatement {
  readonly file: string;
  readonly parts: readonly string[];
}

/** Every raw statement of the source that names one of these tables. */
export function rawStatementsOn(tables: readonly string[]): SourceStatement[] {
  const named = new RegExp(`\\b(${tables.join('|')})\\b`);
  return sources().flatMap(({ file, text }) =>
    [...text.matchAll(/\.(?:\$queryRaw|\$executeRaw|prepared)(?:<[^`]*?>)?`/g)]
      .map((match) => ({ file, parts: partsOf(text, match.index + match[0].length) }))
      .filter(({ parts }) => parts.some((part) => named.test(part))),
  );
}

/** Every query of these models that Prisma composes, as `file model.method`. */
export function composedQueriesOf(models: readonly string[]): string[] {
  const call = new RegExp(`\\.((?:${models.join('|')})\\.(?!fields\\b)\\w+)\\(`, 'g');
  return sources().flatMap(({ file, text }) =>
    [...text.matchAll(call)].map((match) => `${file} ${match[1]}`),
  );
}

/** Whether a statement that was carried out came from this one. */
export function isMadeOf(text: string, { parts }: SourceStatement): boolean {
  const whole = squeezed(text);
  let at = 0;
  return parts.every((part) => {
    const found = whole.indexOf(part, at);
    at = found + part.length;
    return found !== -1;
  });
}

/** The literal parts of the template that begins here; in `${}` there may be braces, but no further template. */
function partsOf(source: string, start: number): string[] {
  const parts: string[] = [];
  let from = start;
  for (let at = start; ; at += 1) {
    if (source[at] === '`') return [...parts, squeezed(source.slice(from, at))].filter((part) => part !== '');
    if (!source.startsWith('${', at)) continue;
    parts.push(squeezed(source.slice(from, at)));
    let depth = 1;
    for (at += 2; depth > 0; at += 1) depth += source[at] === '{' ? 1 : source[at] === '}' ? -1 : 0;
    from = at;
    at -= 1;
  }
}

function squeezed(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}

function sources(): { file: string; text: string }[] {
  return readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts') && !file.startsWith('generated'))
    .map((file) => ({ file, text: readFileSync(join(SOURCE, file), 'utf8') }));
}
