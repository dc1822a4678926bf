/**
 * Every error that may reach a caller, by code. Domain code throws `GatewayError`; only src/http knows
 * which status and which body shape a code becomes.
 */
export type ErrorCode =
  | 'MALFORMED_REQUEST'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'BODY_TOO_LARGE'
  | 'UNAUTHORIZED'
  | 'NOT_LOCAL'
  | 'NOT_FOUND'
  | 'NODE_URL_TAKEN'
  | 'JOB_OF_GATEWAY'
  | 'JOB_NOT_OPEN'
  | 'JOB_NOT_ENDED'
  | 'TOO_MANY_READERS'
  | 'SUBSCRIPTION_NOT_ENDED'
  | 'DATABASE_UNAVAILABLE'
  | 'NO_ROOM'
  | 'SHUTTING_DOWN';

/** Machine-readable details of an error, such as the field or the container it is about. */
export type ErrorParams = Readonly<Record<string, unknown>>;

/** An expected failure with a text for the caller. `params` name the field, the container, the batch index. */
export class GatewayError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly params: ErrorParams = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'GatewayError';
  }
}

/** The text of whatever was thrown, for logs and reasons. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
