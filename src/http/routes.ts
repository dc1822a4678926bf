/** The paths that the server knows, to tell a wrong method from a wrong path. */
export class Routes {
  private readonly known: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = [];

  /** @param path as the router takes it, with `:parameters` and `*` at the end */
  add(methods: readonly string[], path: string): void {
    const source = path
      .split('/')
      .map((part) =>
        part.startsWith(':') ? '[^/]+' : part === '*' ? '.*' : part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'),
      )
      .join('/');
    this.known.push({ pattern: new RegExp(`^${source}$`), methods });
  }

  /** Methods that this path has, sorted; empty for a path that is none. */
  methodsOf(url: string): string[] {
    const path = url.split(/[?#]/, 1)[0] ?? '';
    const methods = this.known.filter(({ pattern }) => pattern.test(path)).flatMap((route) => route.methods);
    return [...new Set(methods)].sort();
  }
}
