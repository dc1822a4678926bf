import type { IncomingMessage, ServerResponse } from 'node:http';

/*
 * What a line of the log may hold of requests and errors: these fields and no others. Headers, query strings and bodies
 * are not among them, so neither secrets nor payloads have a way in.
 */

const LONGEST_MESSAGE = 2_000;
const MOST_CAUSES = 3;

/** Of a request: method, path without query, peer. */
export function requestFields(request: IncomingMessage): object {
  const { method, url = '', socket } = request;
  return { method, path: url.split('?', 1)[0], remoteAddress: socket.remoteAddress };
}

export function responseFields({ statusCode }: ServerResponse): object {
  return { statusCode };
}

/** Of an error: what it is, where it was thrown, and what caused it. Other members may be anything. */
export function errorFields(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return { type: typeof error, message: shortened(String(error)) };
  const { name, message, stack, cause } = error;
  const { code } = error as { code?: unknown };
  return {
    type: name,
    message: shortened(message),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    // The stack begins with the message, which may be long.
    stack: shortened(stack?.slice(stack.indexOf('\n    at ') + 1) ?? ''),
    ...(cause === undefined || depth >= MOST_CAUSES ? {} : { cause: errorFields(cause, depth + 1) }),
  };
}

function shortened(text: string): string {
  return text.length > LONGEST_MESSAGE ? `${text.slice(0, LONGEST_MESSAGE)}…` : text;
}
