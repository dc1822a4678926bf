import { expect, it } from 'vitest';
import { preparedStatement } from './prepared-statement.js';

const partsOf = (parts: TemplateStringsArray, ..._values: unknown[]): TemplateStringsArray => parts;

it('numbers the values of a template in their order', () => {
  const { text } = preparedStatement(partsOf`SELECT ${1}::int, ${'two'} FROM t WHERE c = ${3}`);
  expect(text).toBe('SELECT $1::int, $2 FROM t WHERE c = $3');
  expect(preparedStatement(partsOf`SELECT 1`).text).toBe('SELECT 1');
});

it('names a text the same wherever it stands, and other texts otherwise', () => {
  const one = preparedStatement(partsOf`SELECT ${1}`);
  expect(preparedStatement(partsOf`SELECT ${2}`)).toEqual(one);
  expect(preparedStatement(partsOf`SELECT  ${1}`).name).not.toBe(one.name);
  // PostgreSQL cuts longer names off.
  expect(one.name.length).toBeLessThan(64);
});
