import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { pagePolicy } from '../http/security-headers.js';

/** A file as it is served. */
export interface PageFile {
  readonly bytes: Buffer;
  readonly gzipped: Buffer;
  readonly type: string;
  readonly etag: string;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

const resolve = createRequire(import.meta.url).resolve;

/** The libraries of the page, by the name that its import map gives them. They come from their own packages. */
const LIBRARIES: Readonly<Record<string, () => string>> = {
  'vendor/preact.js': () => resolve('preact'),
  'vendor/preact-hooks.js': () => resolve('preact/hooks'),
  'vendor/preact-jsx-runtime.js': () => resolve('preact/jsx-runtime'),
  'vendor/uplot.js': () => join(dirname(resolve('uplot')), 'uPlot.esm.js'),
  'vendor/uplot.css': () => join(dirname(resolve('uplot')), 'uPlot.min.css'),
};

const INDEX = 'index.html';

/**
 * The files of the dashboard's page, read once. Only these can be asked for, whatever a path says; `npm run build` makes the
 * modules among them.
 */
export class PageFiles {
  private readonly files = new Map<string, PageFile>();

  constructor(directory = join(import.meta.dirname, 'page')) {
    for (const name of readdirSync(directory)) this.add(name, join(directory, name));
    for (const [name, path] of Object.entries(LIBRARIES)) this.add(name, path());
  }

  get index(): PageFile {
    return this.files.get(INDEX) as PageFile;
  }

  /** @param path below `/dashboard/`; undefined is returned if there is no such file */
  get(path: string): PageFile | undefined {
    return path === INDEX ? undefined : this.files.get(path);
  }

  /**
   * What the page may do, as a Content-Security-Policy: load its own files, ask its own gateway, and nothing else. The one
   * inline script is its import map, named by its hash.
   */
  get contentSecurityPolicy(): string {
    const [, importMap = ''] =
      /<script type="importmap">([^]*?)<\/script>/.exec(this.index.bytes.toString()) ?? [];
    const hash = createHash('sha256').update(importMap).digest('base64');
    return pagePolicy({
      sources: {
        'script-src': `'self' 'sha256-${hash}'`,
        'style-src': "'self'",
        'img-src': "'self'",
        'connect-src': "'self'",
      },
    });
  }

  private add(name: string, path: string): void {
    const type = TYPES[extname(name)];
    if (type === undefined) return;
    const bytes = readFileSync(path);
    const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
    this.files.set(name, { bytes, gzipped: gzipSync(bytes), type, etag });
  }
}
