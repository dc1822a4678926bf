/** The paths that the server knows, to tell a wrong method from a wrong path. */
export class Routes {
  /** Paths without parameters. They go before those with, whatever the method. */
  private readonly fixed = new Map<string, Set<string>>();
  private readonly patterns: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = [];

  /** @param path as the router takes it, with `:parameters` and `*` at the end */
  add(methods: readonly string[], path: string): void {
    if (!/[:*]/.test(path)) {
      this.fixed.set(path, new Set([...(this.fixed.get(path) ?? []), ...methods]));
      return;
    }
    const source = path
      .split('/')
      .map((part) =>
        part.startsWith(':') ? '[^/]+' : part === '*' ? '.*' : part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'),
      )
      .join('/');
    this.patterns.push({ pattern: new RegExp(`^${source}$`), methods });
  }

  /**
   * What a path can be asked with, if this method is not among it.
   * @param isKnown whether the router found a handler
   * @returns methods, sorted; undefined for a method that is possible, and for a path that does not exist
   */
  insteadOf(method: string, url: string, isKnown: boolean): string[] | undefined {
    const end = url.search(/[?#]/);
    const path = end === -1 ? url : url.slice(0, end);
    const fixed = this.fixed.get(path);
    if (fixed !== undefined) return fixed.has(method) ? undefined : [...fixed].sort();
    if (isKnown) return undefined;
    const methods = this.patterns
      .filter(({ pattern }) => pattern.test(path))
      .flatMap((route) => route.methods);
    return methods.length === 0 ? undefined : [...new Set(methods)].sort();
  }
}
