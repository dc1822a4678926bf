import { GatewayError } from '../errors.js';

/**
 * One spelling for each node: scheme, lower-case host, port unless it is the scheme's own, path prefix
 * without a trailing slash. `host:port` alone means http, as in the reference router's list of nodes.
 * @throws GatewayError MALFORMED_REQUEST with field `url`
 */
export function normaliseNodeUrl(text: string): string {
  const withScheme = text.includes('://') ? text : `http://${text}`;
  if (!URL.canParse(withScheme)) throw badUrl(text, 'is not a URL');
  const url = new URL(withScheme);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw badUrl(text, 'must be http or https');
  if (url.username !== '' || url.password !== '') {
    throw badUrl(text, 'must not hold credentials; put them into headers');
  }
  if (url.search !== '' || url.hash !== '') throw badUrl(text, 'must not have a query or a fragment');
  return url.origin + url.pathname.replace(/\/+$/, '');
}

function badUrl(text: string, problem: string): GatewayError {
  // What stands before an @ may be a password.
  const shown = text.replace(/^([^/]*\/\/)?.*@/s, '$1…@');
  return new GatewayError('MALFORMED_REQUEST', `url ${problem}: ${shown}`, { field: 'url' });
}
