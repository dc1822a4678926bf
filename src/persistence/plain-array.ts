/**
 * An array as PostgreSQL reads it, of elements that need no quotes: ids, numbers, booleans and null. The driver's own
 * arrays escape each element; docs/decisions/0019-hot-path.md has the figures.
 */
export function plainArray(elements: readonly (string | number | boolean | null)[]): string {
  let text = '{';
  for (const element of elements) {
    if (text.length > 1) text += ',';
    text += element ?? 'NULL';
  }
  return `${text}}`;
}
