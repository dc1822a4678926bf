import type { IncomingHttpHeaders } from 'node:http';
import { Agent, request } from 'undici';

/** An answer as it came over the wire. */
export interface RawReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The exact bytes. */
  readonly body: Buffer;
  /** The same as text. */
  readonly text: string;
}

/** What a raw request may have. */
export interface RawRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly headers?: Record<string, string>;
  readonly body?: Buffer | string;
}

/** A new connection for every request, as the official client makes. */
const agent = new Agent({ pipelining: 0, connections: 128 });

/** Sends one request exactly as given; nothing is parsed, repeated or followed. */
export async function send(url: string, options: RawRequest = {}): Promise<RawReply> {
  const { method = 'GET', headers = {}, body = null } = options;
  const reply = await request(url, { method, headers, body, reset: true, dispatcher: agent });
  const bytes = Buffer.from(await reply.body.arrayBuffer());
  return { status: reply.statusCode, headers: reply.headers, body: bytes, text: bytes.toString() };
}

/** The JSON that a reply holds. */
export function json<T = unknown>(reply: RawReply): T {
  return JSON.parse(reply.text) as T;
}

/** The type of a reply's content, without parameters such as a character set. */
export function mediaType({ headers }: RawReply): string | undefined {
  return headers['content-type']?.split(';')[0];
}
