import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import type { ErrorCode, ErrorParams } from '../errors.js';
import type { ApiAnswer, ApiCallSpec } from '../http/api-call.js';
import { RETRY_AFTER_SECONDS, STATUS } from '../http/status.js';

/** An error as it is documented: when it happens, and how it may look. */
interface ErrorExample {
  readonly when: string;
  readonly message: string;
  readonly params: ErrorParams;
}

/** A code that is not documented does not compile. */
const ERRORS = {
  MALFORMED_REQUEST: {
    when: 'The request is malformed; `field` names what is wrong.',
    message: 'data is missing',
    params: { field: 'data' },
  },
  UNAUTHORIZED: {
    when: 'The admin token is missing or wrong.',
    message: 'The admin token is wrong',
    params: {},
  },
  NOT_LOCAL: {
    when: 'Only callers nearby may do this, and those with the admin token.',
    message: 'Unauthorized',
    params: {},
  },
  NOT_FOUND: { when: 'There is no such thing.', message: 'There is no job x', params: { id: 'x' } },
  NODE_URL_TAKEN: {
    when: 'A node with this URL is registered already.',
    message: 'A node with this url is registered already: http://10.0.0.7:4000',
    params: { field: 'url' },
  },
  JOB_OF_GATEWAY: {
    when: 'It is a job of the gateway, which keeps its status itself.',
    message: 'The gateway keeps the status of this job itself',
    params: { id: 'x' },
  },
  JOB_NOT_OPEN: {
    when: 'The job has ended already.',
    message: 'The job has ended already: succeeded',
    params: { state: 'succeeded' },
  },
  JOB_NOT_ENDED: {
    when: 'The job has not failed, nor was it cancelled; or it is a stream, which is not run again.',
    message: 'Only a failed or cancelled job can be retried; this one is running',
    params: { state: 'running' },
  },
  SUBSCRIPTION_NOT_ENDED: {
    when: 'It is still offered to nodes, was superseded, or its signature has ended.',
    message: 'Only a subscription that is over, and whose signature is not, can be retried; this one is open',
    params: { state: 'open' },
  },
  BODY_TOO_LARGE: {
    when: 'The body is larger than 16 MiB.',
    message: 'The body is larger than 16777216 bytes',
    params: { field: 'body' },
  },
  UNSUPPORTED_MEDIA_TYPE: {
    when: 'The content type is not JSON.',
    message: 'Content-Type must be application/json, not "text/plain"',
    params: { field: 'content-type' },
  },
  TOO_MANY_READERS: {
    when: 'As many as may be are watching already.',
    message: '100 are watching already',
    params: {},
  },
  DATABASE_UNAVAILABLE: {
    when: 'PostgreSQL is away; nothing was stored.',
    message: 'The database is not available; nothing was stored',
    params: {},
  },
  NO_ROOM: {
    when: 'No node had room in time, or could be reached, or your budget at the nodes is spent.',
    message: 'No node had room for the stream within 10 s',
    params: {},
  },
  SHUTTING_DOWN: { when: 'The gateway stops.', message: 'The gateway is shutting down', params: {} },
} as const satisfies Record<ErrorCode, ErrorExample>;

/** The node API's errors, which the official client reads; docs/protocol.md §2. */
const infernetErrorSchema = z
  .object({ error: z.string(), params: z.record(z.string(), z.unknown()) })
  .meta({ id: 'Error', description: 'An error as a node words it.' });

/** RFC 9457. Further members are the error's parameters. */
const problemSchema = z
  .looseObject({
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string().describe('One for each kind of error; does not change.'),
  })
  .meta({ id: 'Problem', description: 'Problem details, RFC 9457.' });

/** Whether a call needs the admin token. */
export function needsToken(spec: ApiCallSpec, path: string): boolean {
  return spec.open === undefined ? path.startsWith('/admin') : !spec.open;
}

/** The errors of a call: those it names, and those that follow from what it takes. */
export function errorAnswers(spec: ApiCallSpec, method: string, path: string): Map<number, ApiAnswer> {
  const codes = new Set<ErrorCode>(spec.errors);
  if (needsToken(spec, path)) codes.add('UNAUTHORIZED');
  if (path.startsWith('/admin') && (spec.params ?? spec.query ?? spec.body) !== undefined) {
    codes.add('MALFORMED_REQUEST');
  }
  if (spec.body !== undefined) {
    codes.add('MALFORMED_REQUEST');
    codes.add('UNSUPPORTED_MEDIA_TYPE');
  }
  // A body that nobody asked for is read all the same.
  if (method !== 'get') codes.add('BODY_TOO_LARGE');
  const answers = new Map<number, ApiAnswer>();
  for (const status of new Set([...codes].map((code) => STATUS[code]))) {
    answers.set(
      status,
      answerOf(
        status,
        [...codes].filter((code) => STATUS[code] === status),
        path,
      ),
    );
  }
  return answers;
}

function answerOf(status: number, codes: readonly ErrorCode[], path: string): ApiAnswer {
  const isAdmin = path.startsWith('/admin');
  const rendered = (code: ErrorCode): object => {
    const { message, params } = ERRORS[code];
    if (!isAdmin) return { error: message, params };
    return { title: STATUS_CODES[status], status, detail: message, code, ...params };
  };
  const headers: Record<string, string> = {
    ...(status === 503 ? { 'Retry-After': `Seconds to wait: ${RETRY_AFTER_SECONDS}.` } : {}),
    ...(status === 401 ? { 'WWW-Authenticate': '`Bearer`.' } : {}),
  };
  return {
    description: codes.map((code) => ERRORS[code].when).join(' '),
    contentType: isAdmin ? 'application/problem+json' : 'application/json',
    schema: isAdmin ? problemSchema : infernetErrorSchema,
    examples: Object.fromEntries(codes.map((code) => [code, rendered(code)])),
    headers,
  };
}
