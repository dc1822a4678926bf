import { GatewayError } from '../errors.js';
import { JsonSyntaxError, jsonValue, type JsonSlice } from './raw-json.js';

/**
 * The one JSON value that a request's body holds.
 * @throws GatewayError MALFORMED_REQUEST with field `body`
 */
export function readText(text: Buffer): JsonSlice {
  if (text.length === 0) throw malformed('The body is empty; JSON expected', 'body');
  try {
    return jsonValue(text);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw malformed(`The body is not valid JSON: ${error.message}`, 'body');
  }
}

/** The kind of a value for a sentence: `an object`, `a string`, `null`. */
export function article({ kind }: JsonSlice): string {
  if (kind === 'null') return kind;
  return kind === 'array' || kind === 'object' ? `an ${kind}` : `a ${kind}`;
}

/** The error that names a request's wrong field. */
export function malformed(message: string, field: string): GatewayError {
  return new GatewayError('MALFORMED_REQUEST', message, { field });
}
