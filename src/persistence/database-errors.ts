/**
 * Kinds that Prisma's adapter gives to failures of the connection rather than of the statement. See
 * test/persistence/database-errors.spec.ts, which provokes them with a real server.
 */
const OUTAGE_KINDS = new Set([
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TooManyConnections',
]);

/**
 * SQLSTATE codes that pass by themselves: connection exceptions (08), no resources such as connections,
 * memory or disk (53), shutting down or starting up (57P), and a primary that became a standby (25006).
 */
const OUTAGE_STATE = /^(08...|53...|57P..|25006)$/;

const SOCKET_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/**
 * Errors of the `pg` driver that carry no code. Prisma passes them on as they are: the connection broke in
 * the middle of a statement, could not be made in time, or no pooled one became free in time.
 */
const DRIVER_MESSAGES =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Unable to start a transaction|Transaction API error: Unable to start a transaction)/;

/**
 * Whether a failed query says that the database is away, starting, or has no connection to spare, so that
 * the same query may succeed later; the HTTP surface answers 503 then. A statement that was under way when
 * its connection broke may have been committed all the same.
 *
 * @param error What a Prisma client or the `pg` driver threw.
 */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, meta } = error as { code?: unknown; meta?: { driverAdapterError?: unknown } };
  if (typeof code === 'string' && (SOCKET_CODES.has(code) || OUTAGE_STATE.test(code))) return true;
  if (DRIVER_MESSAGES.test(error.message)) return true;
  const adapterError = (meta?.driverAdapterError ?? error) as { cause?: unknown };
  const cause = adapterError.cause as { kind?: unknown; originalCode?: unknown } | undefined;
  return (
    (typeof cause?.kind === 'string' && OUTAGE_KINDS.has(cause.kind)) ||
    (typeof cause?.originalCode === 'string' && OUTAGE_STATE.test(cause.originalCode))
  );
}
