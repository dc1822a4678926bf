import type { JsonSchema } from './json-schemas.js';

/** A JSON schema as HTML text, with references to components as links. */
export function schemaHtml(schema: JsonSchema): string {
  const text = JSON.stringify(schema, null, 2)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
  return text.replace(
    /"#\/components\/schemas\/(\w+)"/g,
    (whole, name: string) => `<a href="#schema-${name}">${whole}</a>`,
  );
}
