import { schemaHtml } from './schema-text.js';
import { REFERENCE_STYLE } from './reference-style.js';
import type { Content, Described, OpenApiDocument, Operation, Parameter } from './openapi-document.js';

/**
 * The API documents as one page that needs no script and loads nothing: each call with its parameters, bodies, a
 * command to try it with, and every answer.
 */
export function referencePage(document: OpenApiDocument): string {
  const calls = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const chapters = document.tags
    .map((tag) => ({ ...tag, calls: calls.filter(({ operation }) => operation.tags.includes(tag.name)) }))
    .filter((chapter) => chapter.calls.length > 0);
  const menu = chapters.map(
    (chapter) =>
      `<h2>${escaped(chapter.name)}</h2><ul>${chapter.calls
        .map(
          ({ path, method, operation }) =>
            `<li><a href="#${escaped(operation.operationId)}">${verb(method)} ${escaped(path)}</a></li>`,
        )
        .join('')}</ul>`,
  );
  const body = chapters.map(
    (chapter) =>
      `<section><h2>${escaped(chapter.name)}</h2><p>${prose(chapter.description)}</p>${chapter.calls
        .map(({ path, method, operation }) => callOf(path, method, operation))
        .join('')}</section>`,
  );
  const schemas = Object.entries(document.components.schemas).map(
    ([name, schema]) =>
      `<details id="schema-${escaped(name)}"><summary>${escaped(name)}</summary>${code(schemaHtml(schema))}</details>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(document.info.title)} API</title>
<style>${REFERENCE_STYLE}</style>
</head>
<body>
<nav aria-label="Calls"><p><strong>${escaped(document.info.title)}</strong> ${escaped(document.info.version)}</p>
<p><a href="/openapi.json">openapi.json</a></p>${menu.join('')}<h2>Schemas</h2><ul><li><a href="#schemas">All schemas</a></li></ul></nav>
<main><h1>${escaped(document.info.title)} API</h1>
${document.info.description
  .split('\n\n')
  .map((paragraph) => `<p>${prose(paragraph)}</p>`)
  .join('\n')}
${body.join('\n')}
<section id="schemas"><h2>Schemas</h2>${schemas.join('')}</section>
</main>
</body>
</html>
`;
}

function callOf(path: string, method: string, operation: Operation): string {
  const { operationId, summary, description, parameters = [], requestBody, responses, security } = operation;
  const answers = Object.entries(responses).map(
    ([status, answer]) =>
      `<h4><span class="status s${status[0]}">${status}</span> ${prose(answer.description ?? '')}</h4>${contentOf(answer)}`,
  );
  return `<article id="${escaped(operationId)}">
<h3><span class="call">${verb(method)} <code>${escaped(path)}</code></span> ${escaped(summary)}</h3>
${description === undefined ? '' : `<p>${prose(description)}</p>`}
${security.length === 0 ? '' : '<p class="note">Needs <code>Authorization: Bearer &lt;ADMIN_TOKEN&gt;</code>.</p>'}
${parameters.length === 0 ? '' : parameterTable(parameters)}
${requestBody === undefined ? '' : `<h4>Body</h4>${contentOf(requestBody)}`}
${code(escaped(curl(path, method, operation)))}
${answers.join('\n')}
</article>`;
}

function parameterTable(parameters: readonly Parameter[]): string {
  const rows = parameters.map(({ name, in: place, required, description = '', schema, example }) => {
    const shown = example === undefined ? '' : ` For example <code>${escaped(textOf(example))}</code>.`;
    return `<tr><td><code>${escaped(name)}</code></td><td>${place}${required ? ', required' : ''}</td>
<td><code>${escaped(shortType(schema))}</code></td><td>${prose(description)}${shown}</td></tr>`;
  });
  return `<div class="wide"><table><thead><tr><th>parameter</th><th>in</th><th>type</th><th>meaning</th></tr></thead>
<tbody>${rows.join('')}</tbody></table></div>`;
}

function contentOf({ content = {}, headers = {} }: Described): string {
  const named = Object.entries(headers).map(([name, header]) => {
    const { description = '' } = header as { description?: string };
    return `<p class="note">Header <code>${escaped(name)}</code>: ${prose(description)}</p>`;
  });
  const bodies = Object.entries(content).map(([type, body]) => {
    const examples = Object.entries(body.examples ?? {}).map(
      ([name, { value }]) =>
        `<p class="note">${escaped(name)}</p>${code(escaped(typeof value === 'string' ? value : JSON.stringify(value, null, 2)))}`,
    );
    return `<details><summary>${escaped(type)}${linkOf(body)}</summary>${examples.join('')}
${body.schema === undefined ? '' : `<p class="note">Schema</p>${code(schemaHtml(body.schema))}`}</details>`;
  });
  return named.join('') + bodies.join('');
}

function linkOf({ schema }: Content): string {
  const name = typeof schema?.['$ref'] === 'string' ? schema['$ref'].split('/').at(-1) : undefined;
  return name === undefined ? '' : ` <a href="#schema-${escaped(name)}">${escaped(name)}</a>`;
}

/** A command line that makes the call, with its first examples. */
function curl(path: string, method: string, operation: Operation): string {
  const { parameters = [], requestBody, security } = operation;
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    return textOf(parameters.find((parameter) => parameter.name === name)?.example ?? name);
  });
  const query = parameters
    .filter((parameter) => parameter.in === 'query' && parameter.required)
    .map(({ name, example }) => `${name}=${encodeURIComponent(textOf([example].flat()[0] ?? ''))}`);
  const url = `$GATEWAY${filled}${query.length === 0 ? '' : `?${query.join('&')}`}`;
  const parts = [`curl -s${method === 'GET' || requestBody !== undefined ? '' : ` -X ${method}`}`];
  if (requestBody !== undefined && method !== 'POST') parts.push(`-X ${method}`);
  parts.push(`"${url}"`);
  if (security.length > 0) parts.push('-H "Authorization: Bearer $TOKEN"');
  const [body] = Object.values(requestBody?.content ?? {});
  const [example] = Object.values(body?.examples ?? {});
  if (example !== undefined) {
    parts.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(example.value)}'`);
  }
  return parts.join(' ');
}

function shortType(schema: Record<string, unknown>): string {
  if (Array.isArray(schema['enum'])) return (schema['enum'] as unknown[]).map(textOf).join(' | ');
  if (schema['type'] === 'array') return `${shortType((schema['items'] ?? {}) as Record<string, unknown>)}[]`;
  const format = typeof schema['format'] === 'string' ? ` (${schema['format']})` : '';
  return typeof schema['type'] === 'string' ? schema['type'] + format : 'any';
}

function verb(method: string): string {
  return `<span class="verb ${method.toLowerCase()}">${method}</span>`;
}

function code(html: string): string {
  return `<pre tabindex="0"><code>${html}</code></pre>`;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Text with `code` in it. */
function prose(text: string): string {
  return escaped(text).replace(/`([^`]+)`/g, '<code>$1</code>');
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
