/** The published versions of the reference node. */
export const API_VERSIONS = ['0.2.0', '1.0.0', '1.1.0', '1.2.0', '1.3.0', '1.3.1', '1.4.0'] as const;

export type ApiVersion = (typeof API_VERSIONS)[number];

/** What differs between the versions (docs/protocol.md §7). */
export interface VersionTraits {
  /** `/info` tells version and chain; before, the chain has two routes of its own. */
  readonly tellsVersion: boolean;
  readonly streams: boolean;
  /** Whether `requires_proof` is heeded. */
  readonly proves: boolean;
  readonly limitsRates: boolean;
  /** Whether a submission needs a content type of JSON. */
  readonly checksContentType: boolean;
  /** The form of delegated subscriptions that it takes (docs/protocol.md §5). */
  readonly subscriptions: '0.x' | '1.x';
  /** Whether a delegated subscription is answered with an id, which is good for nothing. */
  readonly givesIdsToSubscriptions: boolean;
  readonly hasResources: boolean;
  /** Who may use `PUT /api/status`. */
  readonly statusFrom: RegExp;
  /** After which a stream is cut, in ms. */
  readonly streamTimeoutMs: number;
}

const ANYWHERE = /^/;
const LOOPBACK = /^(127\.0\.0\.1|::1)$/;
const LOOPBACK_AND_DOCKER = /^(127\.0\.0\.1|::1|172\.(17|18|19)\.[\d.]+|192\.168\.[\d.]+)$/;

/** How a version behaves. */
export function traitsOf(version: ApiVersion): VersionTraits {
  const isSince = (first: ApiVersion): boolean =>
    API_VERSIONS.indexOf(version) >= API_VERSIONS.indexOf(first);
  return {
    tellsVersion: isSince('1.0.0'),
    streams: isSince('1.0.0'),
    proves: isSince('1.0.0'),
    limitsRates: isSince('1.0.0'),
    checksContentType: isSince('1.0.0'),
    subscriptions: isSince('1.0.0') ? '1.x' : '0.x',
    givesIdsToSubscriptions: !isSince('1.0.0'),
    hasResources: isSince('1.4.0'),
    statusFrom: isSince('1.1.0') ? LOOPBACK_AND_DOCKER : isSince('1.0.0') ? LOOPBACK : ANYWHERE,
    streamTimeoutMs: isSince('1.4.0') ? 60_000 : 180_000,
  };
}

/** @throws RangeError naming the versions that there are */
export function apiVersion(text: string): ApiVersion {
  const version = API_VERSIONS.find((known) => known === text);
  if (version === undefined) {
    throw new RangeError(`unknown version "${text}"; there are ${API_VERSIONS.join(', ')}`);
  }
  return version;
}
