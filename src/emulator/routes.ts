import type { VersionTraits } from './api-version.js';

/** The node's endpoints by the names of its source; the rate limiter keeps one bucket for each of them. */
export type Endpoint =
  | 'health'
  | 'info'
  | 'resources'
  | 'create_job'
  | 'create_job_batch'
  | 'create_job_stream'
  | 'get_job'
  | 'store_job_status'
  | 'chain_enabled'
  | 'chain_address';

/** What a request is for, or why it is for nothing. */
export type Route =
  | { readonly endpoint: Endpoint; readonly isLimited: boolean }
  | { readonly status: 404 }
  | { readonly status: 405; readonly allow: string };

const ENDPOINTS: Readonly<Record<string, Readonly<Record<string, Endpoint>>>> = {
  '/health': { GET: 'health' },
  '/info': { GET: 'info' },
  '/resources': { GET: 'resources' },
  '/api/jobs': { GET: 'get_job', POST: 'create_job' },
  '/api/jobs/batch': { POST: 'create_job_batch' },
  '/api/jobs/stream': { POST: 'create_job_stream' },
  '/api/status': { PUT: 'store_job_status' },
};

/** Of versions that do not tell their chain in `/info`. */
const CHAIN_ENDPOINTS: typeof ENDPOINTS = {
  '/api/chain/enabled': { GET: 'chain_enabled' },
  '/api/chain/address': { GET: 'chain_address' },
};

/** @param path without query; a trailing slash makes it another path */
export function routeOf(method: string, path: string, traits: VersionTraits): Route {
  const methods = methodsOf(path, traits);
  if (methods === undefined) return { status: 404 };
  const endpoint = methods[method === 'HEAD' ? 'GET' : method];
  if (endpoint === undefined) {
    const allow = Object.keys(methods).flatMap((name) => (name === 'GET' ? ['GET', 'HEAD'] : [name]));
    return { status: 405, allow: [...allow, 'OPTIONS'].join(', ') };
  }
  return { endpoint, isLimited: endpoint !== 'store_job_status' };
}

function methodsOf(path: string, traits: VersionTraits): Readonly<Record<string, Endpoint>> | undefined {
  if (path === '/resources' && !traits.hasResources) return undefined;
  if (path === '/api/jobs/stream' && !traits.streams) return undefined;
  if (!traits.tellsVersion && Object.hasOwn(CHAIN_ENDPOINTS, path)) return CHAIN_ENDPOINTS[path];
  return Object.hasOwn(ENDPOINTS, path) ? ENDPOINTS[path] : undefined;
}
