/** Knows the operators by the token that they present. The admin module implements it. */
export abstract class OperatorToken {
  /** Compares in constant time, whatever the lengths. */
  abstract matches(presented: string): boolean;
}

/** The token of a header `Authorization: Bearer <token>`; undefined without one. */
export function bearerToken(authorization: string | undefined): string | undefined {
  return /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
}
