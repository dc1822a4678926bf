import { createHash } from 'node:crypto';

/** A statement as a session keeps it: parsed once under its name, and planned once when PostgreSQL finds that enough. */
export interface PreparedStatement {
  readonly name: string;
  readonly text: string;
}

const statements = new WeakMap<TemplateStringsArray, PreparedStatement>();

/**
 * The statement of a template, whose values become `$1`, `$2` and so on. A template has one text for ever, so that the
 * sessions of a server hold no more statements than the project has templates.
 */
export function preparedStatement(parts: TemplateStringsArray): PreparedStatement {
  const known = statements.get(parts);
  if (known !== undefined) return known;
  const text = parts.reduce((before, part, index) => `${before}$${index}${part}`);
  const statement = { name: statementName(text), text };
  statements.set(parts, statement);
  return statement;
}

/** The same for the same text, and shorter than what PostgreSQL cuts off. */
export function statementName(text: string): string {
  return createHash('sha1').update(text).digest('hex');
}
