import { z } from 'zod';
import { GatewayError } from '../errors.js';
import { jsonBytes } from './http-server.js';

/** Text that PostgreSQL can store: without NUL, which `text` refuses, and lone surrogates, which `jsonb` refuses. */
export const storableString = z
  .string()
  // oxlint-disable-next-line no-control-regex
  .regex(/^[^\u0000]*$/, 'text without NUL expected')
  .refine((text) => !/\p{Surrogate}/u.test(text), 'well-formed Unicode expected');

/** A query parameter that may be repeated. */
export function repeatable<Item extends z.ZodType>(item: Item): z.ZodType<z.output<Item>[]> {
  return z.preprocess((value) => (value === undefined ? value : [value].flat()), z.array(item).min(1));
}

/**
 * Reads and validates a JSON body.
 * @throws GatewayError MALFORMED_REQUEST naming the first wrong field, UNSUPPORTED_MEDIA_TYPE
 */
export function readBody<T>(schema: z.ZodType<T>, body: unknown, contentType: string | undefined): T {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(jsonBytes(body, contentType)));
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    throw new GatewayError('MALFORMED_REQUEST', 'The body is not valid JSON', { field: 'body' });
  }
  return validated(schema, value);
}

/** Validates query or path parameters. @throws GatewayError MALFORMED_REQUEST naming the first wrong one */
export function readParameters<T>(schema: z.ZodType<T>, parameters: unknown): T {
  return validated(schema, { ...(parameters as object) });
}

function validated<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue?.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0]] : (issue?.path ?? []);
  const field = path.length === 0 ? 'body' : path.join('.');
  throw new GatewayError('MALFORMED_REQUEST', `${field}: ${issue?.message ?? 'invalid'}`, { field });
}
