import type { z } from 'zod';
import { API_CHAPTERS, type ApiAnswer, type ApiCallSpec, type Examples } from '../http/api-call.js';
import type { DocumentedCall } from './documented-calls.js';
import { errorAnswers, needsToken } from './error-answers.js';
import { JsonSchemas, type JsonSchema } from './json-schemas.js';

/** A parameter, as OpenAPI describes it. */
export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly description?: string;
  readonly schema: JsonSchema;
  readonly example?: unknown;
}

type NamedExamples = Record<string, { readonly value: unknown }>;

/** A body of a request or an answer. */
export interface Content {
  readonly schema?: JsonSchema;
  readonly examples?: NamedExamples;
}

/** A request body or an answer. */
export interface Described {
  readonly description?: string;
  readonly content?: Readonly<Record<string, Content>>;
  readonly headers?: Readonly<Record<string, object>>;
}

/** One call. */
export interface Operation {
  readonly tags: readonly string[];
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly security: readonly object[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: Described & { readonly required: true };
  readonly responses: Readonly<Record<string, Described>>;
}

/** An OpenAPI 3.1 document, as far as this one goes. */
export interface OpenApiDocument {
  readonly openapi: '3.1.0';
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>;
    readonly securitySchemes: Readonly<Record<string, object>>;
  };
}

const DESCRIPTION = `One endpoint in front of many Infernet nodes. It speaks the API of an Infernet node (1.4.0).

Errors for applications are \`{"error", "params"}\`, as a node's; under \`/admin\` they are problem details (RFC 9457).
Whatever the call: 404 for a path and 405 for a method that do not exist, 400 for a path that cannot be decoded, 408 when
a request takes too long to arrive, 431 when its head is larger than 16 KiB.`;

/** Writes the API down from the same schemas that validate requests. */
export function openApiDocument(calls: readonly DocumentedCall[], version: string): OpenApiDocument {
  const schemas = new JsonSchemas();
  const paths: Record<string, Record<string, Operation>> = {};
  for (const call of calls) (paths[call.path] ??= {})[call.method] = operationOf(call, schemas);
  return {
    openapi: '3.1.0',
    info: { title: 'infernet-gateway', version, description: DESCRIPTION },
    tags: Object.entries(API_CHAPTERS).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: schemas.components,
      securitySchemes: {
        adminToken: { type: 'http', scheme: 'bearer', description: 'The setting ADMIN_TOKEN.' },
      },
    },
  };
}

function operationOf({ method, path, operationId, spec }: DocumentedCall, schemas: JsonSchemas): Operation {
  const answers = new Map(
    Object.entries(spec.answers).map(([status, answer]): [number, ApiAnswer] => [Number(status), answer]),
  );
  for (const [status, answer] of errorAnswers(spec, method, path)) {
    if (!answers.has(status)) answers.set(status, answer);
  }
  const parameters = parametersOf(spec, schemas);
  const byStatus = [...answers].sort(([a], [b]) => a - b);
  return {
    tags: [spec.chapter],
    operationId,
    summary: spec.summary,
    ...(spec.description === undefined ? {} : { description: spec.description }),
    security: needsToken(spec, path) ? [{ adminToken: [] }] : [],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(spec.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: {
              'application/json': {
                schema: schemas.of(spec.body, 'input'),
                ...examplesOf(spec.bodyExamples),
              },
            },
          },
        }),
    responses: Object.fromEntries(byStatus.map(([status, answer]) => [status, describedOf(answer, schemas)])),
  };
}

function describedOf(answer: ApiAnswer, schemas: JsonSchemas): Described {
  const { description, contentType = 'application/json', schema, examples, headers = {} } = answer;
  const content: Content = {
    ...(schema === undefined ? {} : { schema: schemas.of(schema, 'output') }),
    ...examplesOf(examples),
  };
  const described = Object.entries(headers).map(([name, text]) => {
    return [name, { description: text, schema: { type: 'string' } }];
  });
  return {
    description,
    ...(described.length === 0 ? {} : { headers: Object.fromEntries(described) as Record<string, object> }),
    content: { [contentType]: content },
  };
}

function examplesOf(examples: Examples | undefined): { examples?: NamedExamples } {
  if (examples === undefined) return {};
  return { examples: Object.fromEntries(Object.entries(examples).map(([name, value]) => [name, { value }])) };
}

function parametersOf(spec: ApiCallSpec, schemas: JsonSchemas): Parameter[] {
  const { params, query, headers = {}, parameterExamples = {} } = spec;
  const of = (place: 'path' | 'query', object: z.ZodObject | undefined): Parameter[] => {
    if (object === undefined) return [];
    const whole = schemas.of(object, 'input');
    const required = new Set(whole['required'] as string[] | undefined);
    return Object.entries(whole['properties'] as Record<string, JsonSchema>).map(([name, member]) => {
      const { description, ...schema } = member;
      return {
        name,
        in: place,
        required: place === 'path' || required.has(name),
        ...(typeof description === 'string' ? { description } : {}),
        schema,
        ...(name in parameterExamples ? { example: parameterExamples[name] } : {}),
      };
    });
  };
  const ofHeaders = Object.entries(headers).map(([name, description]): Parameter => {
    return { name, in: 'header', required: false, description, schema: { type: 'string' } };
  });
  return [...of('path', params), ...of('query', query), ...ofHeaders];
}
