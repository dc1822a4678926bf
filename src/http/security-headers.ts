import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';

/** Nothing loads, runs or frames: for answers that are no pages, should a browser show one all the same. */
const NO_PAGE = "default-src 'none'; frame-ancestors 'none'; sandbox";

/** What every answer carries, in lower case. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy': NO_PAGE,
};

const ENTRIES = Object.entries(SECURITY_HEADERS);

/**
 * Set on every answer before it is known what it will be, streams included: a container's output must never be taken
 * for a page of this origin. Pages replace the policy by `pagePolicy`.
 */
export function setSecurityHeaders(response: ServerResponse, url: string): void {
  for (const [name, value] of ENTRIES) response.setHeader(name, value);
  // What operators see stays out of caches.
  if (url.startsWith('/admin')) response.setHeader('cache-control', 'no-store');
}

/** What a page may load, all of it from this origin or written into the page. */
export interface PageNeeds {
  /** The exact text of a style element. */
  readonly inlineStyle?: string;
  /** Sources beside that, such as `script-src` → `'self'`. */
  readonly sources?: Readonly<Record<string, string>>;
}

/** Content-Security-Policy of a page: it loads what it names, nothing from elsewhere, and nobody may frame it. */
export function pagePolicy({ inlineStyle, sources = {} }: PageNeeds): string {
  const directives: Record<string, string> = { 'default-src': "'none'", ...sources };
  if (inlineStyle !== undefined) {
    const hash = createHash('sha256').update(inlineStyle).digest('base64');
    directives['style-src'] = [directives['style-src'], `'sha256-${hash}'`].filter(Boolean).join(' ');
  }
  directives['base-uri'] = "'none'";
  directives['form-action'] = "'none'";
  directives['frame-ancestors'] = "'none'";
  return Object.entries(directives)
    .map(([name, value]) => `${name} ${value}`)
    .join('; ');
}
