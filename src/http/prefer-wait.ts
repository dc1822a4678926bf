/**
 * Seconds that a caller is willing to wait, from `Prefer: wait=N` (RFC 7240 §4.3); 0 without one. Other
 * preferences are ignored, as the RFC asks.
 * @param mostSeconds longer waits are cut to this
 */
export function preferredWaitSeconds(prefer: string | string[] | undefined, mostSeconds: number): number {
  const preferences = [prefer ?? []].flat().join(',');
  const seconds = /(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:;[^,]*)?(?=,|$)/i.exec(preferences)?.[1];
  return seconds === undefined ? 0 : Math.min(Number(seconds), mostSeconds);
}
