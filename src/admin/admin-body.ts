import { z } from 'zod';
import { GatewayError } from '../errors.js';
import { jsonBytes } from '../http/http-server.js';

const labels = z.record(z.string().min(1).max(100), z.string().max(1_000));

/** Header names that belong to the gateway's own requests. */
const RESERVED_HEADERS = [
  'content-length',
  'content-type',
  'transfer-encoding',
  'connection',
  'host',
  'upgrade',
];

const headers = z.record(
  z
    .string()
    .regex(/^[\w!#$%&'*+.^`|~-]+$/, 'a header name expected')
    .refine((name) => !RESERVED_HEADERS.includes(name.toLowerCase()), 'this header is set by the gateway'),
  // oxlint-disable-next-line no-control-regex
  z.string().regex(/^[^\u0000-\u001f\u007f]*$/, 'a header value without control characters expected'),
);

const wishes = {
  name: z.string().min(1).max(200).optional(),
  weight: z.number().positive().max(1_000).optional(),
  maxInFlight: z.int().min(1).max(1_000_000).nullable().optional(),
  labels: labels.optional(),
  headers: headers.optional(),
};

/** Body of `POST /admin/nodes`. */
export const registerNodeSchema = z.strictObject({ url: z.string().min(1).max(2_000), ...wishes });

/** Body of `PATCH /admin/nodes/{id}`; what is left out stays. */
export const changeNodeSchema = z.strictObject({ url: z.string().min(1).max(2_000).optional(), ...wishes });

/**
 * Reads and validates the body of an admin call.
 * @throws GatewayError MALFORMED_REQUEST naming the first wrong field, UNSUPPORTED_MEDIA_TYPE
 */
export function readBody<T>(schema: z.ZodType<T>, body: unknown, contentType: string | undefined): T {
  let value: unknown;
  try {
    value = JSON.parse(jsonBytes(body, contentType).toString());
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    throw new GatewayError('MALFORMED_REQUEST', 'The body is not valid JSON', { field: 'body' });
  }
  return validated(schema, value);
}

/** Validates query or path parameters. @throws GatewayError MALFORMED_REQUEST naming the first wrong one */
export function readQuery<T>(schema: z.ZodType<T>, query: unknown): T {
  return validated(schema, { ...(query as object) });
}

function validated<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue?.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0]] : (issue?.path ?? []);
  const field = path.length === 0 ? 'body' : path.join('.');
  throw new GatewayError('MALFORMED_REQUEST', `${field}: ${issue?.message ?? 'invalid'}`, { field });
}
