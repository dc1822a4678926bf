import type { ErrorCode } from '../errors.js';

/** The one place where an error becomes an HTTP status; a code without a status does not compile. */
export const STATUS = {
  MALFORMED_REQUEST: 400,
  UNAUTHORIZED: 401,
  NOT_LOCAL: 403,
  NOT_FOUND: 404,
  NODE_URL_TAKEN: 409,
  JOB_OF_GATEWAY: 409,
  JOB_NOT_OPEN: 409,
  JOB_NOT_ENDED: 409,
  SUBSCRIPTION_NOT_ENDED: 409,
  BODY_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  TOO_MANY_READERS: 503,
  DATABASE_UNAVAILABLE: 503,
  NO_ROOM: 503,
  SHUTTING_DOWN: 503,
} as const satisfies Record<ErrorCode, number>;

/** Seconds that a caller is asked to wait before it tries again after a 503. */
export const RETRY_AFTER_SECONDS = 1;
