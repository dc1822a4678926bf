import { useEffect, useState } from 'preact/hooks';

export const VIEWS = ['overview', 'jobs', 'explain'] as const;
export type View = (typeof VIEWS)[number];

/** Where the operator is: kept in the address after `#`, so that reload, back and links work. */
export interface Route {
  readonly view: View;
  readonly query: URLSearchParams;
}

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const read = (): void => setHash(location.hash);
    addEventListener('hashchange', read);
    return () => removeEventListener('hashchange', read);
  }, []);
  return routeOf(hash);
}

export function routeOf(hash: string): Route {
  const [name, query = ''] = hash.replace(/^#\/?/, '').split('?');
  return { view: VIEWS.find((view) => view === name) ?? 'overview', query: new URLSearchParams(query) };
}

/** The address of a view. Empty values are left out. */
export function hrefOf(view: View, query: Readonly<Record<string, string | undefined>> = {}): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => (entry[1] ?? '') !== '');
  const text = new URLSearchParams(given).toString();
  return `#/${view}${text === '' ? '' : `?${text}`}`;
}
