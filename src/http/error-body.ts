import { STATUS_CODES } from 'node:http';
import type { ErrorCode, ErrorParams } from '../errors.js';

/** An error on its way to a caller. */
export interface Problem {
  readonly status: number;
  readonly code: ErrorCode | 'INTERNAL_ERROR' | 'HTTP_ERROR';
  readonly message: string;
  readonly params: ErrorParams;
}

/**
 * Under /admin RFC 9457 problem details, elsewhere as a node does, `{"error", "params"}`, which the official client
 * needs to be JSON (docs/protocol.md §2).
 */
export function errorBody(url: string, problem: Problem): { readonly type: string; readonly body: string } {
  const { status, code, message, params } = problem;
  if (!/^\/admin(?:[/?]|$)/.test(url)) {
    return { type: 'application/json', body: `${JSON.stringify({ error: message, params })}\n` };
  }
  const title = STATUS_CODES[status] ?? 'Error';
  return {
    type: 'application/problem+json',
    body: JSON.stringify({ ...params, title, status, detail: message, code }),
  };
}
