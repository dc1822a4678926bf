import { STATUS_CODES } from 'node:http';

/** A whole answer of the node. `closes`: the connection ends with it, although the head does not say so. */
export interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
  readonly headers?: readonly (readonly [string, string])[];
  readonly closes?: boolean;
}

const PROSE: Record<number, string> = {
  404:
    'The requested URL was not found on the server. If you entered the URL manually please check your ' +
    'spelling and try again.',
  405: 'The method is not allowed for the requested URL.',
  429: 'This user has exceeded an allotted request count. Try again later.',
  500:
    'The server encountered an internal error and was unable to complete your request. Either the server is ' +
    'overloaded or there is an error in the application.',
};

/** A string as the node writes it: everything beyond ASCII escaped. */
export function jsonString(text: string): string {
  return JSON.stringify(text).replace(
    /[\u0080-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A reply of JSON that is already text, with the trailing line feed that the node adds. */
export function jsonReply(status: number, ...parts: readonly (string | Buffer)[]): Reply {
  const body = Buffer.concat(
    [...parts, '\n'].map((part) => (typeof part === 'string' ? Buffer.from(part) : part)),
  );
  return { status, contentType: 'application/json', body };
}

/** `{"error": …}`, with `params` only where given. The keys of `params` must already be sorted. */
export function errorReply(status: number, error: string, params?: Record<string, string>): Reply {
  return jsonReply(status, errorObject(error, params));
}

/** The text of an error object, as it stands in replies and in the items of a batch. */
export function errorObject(error: string, params?: Record<string, string>): string {
  if (params === undefined) return `{"error":${jsonString(error)}}`;
  const members = Object.entries(params).map(([key, value]) => `${jsonString(key)}:${jsonString(value)}`);
  return `{"error":${jsonString(error)},"params":{${members.join(',')}}}`;
}

/** The web framework's own page for unrouted paths, refused callers and unhandled exceptions. */
export function htmlReply(status: number, headers: Reply['headers'] = []): Reply {
  const title = STATUS_CODES[status] ?? '';
  const lines = [
    '<!doctype html>',
    '<html lang=en>',
    `<title>${status} ${title}</title>`,
    `<h1>${title}</h1>`,
    `<p>${PROSE[status] ?? title}</p>`,
    '',
  ];
  return { status, contentType: 'text/html; charset=utf-8', body: Buffer.from(lines.join('\n')), headers };
}
