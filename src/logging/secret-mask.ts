/** Shorter values than this are words and numbers that logs are full of, not secrets. */
const SHORTEST = 8;
const MASKED = '[masked]';
/** User and password in front of a host. */
const CREDENTIALS = /:\/\/[^\s/@"\\]+@/g;

/**
 * Takes known secrets out of lines of the log. It is the last line of defence: what is logged names no header and no
 * payload in the first place, but errors of libraries say what they like.
 */
export class SecretMask {
  private readonly known = new Set<string>();
  private pattern: RegExp | undefined;

  /** Values of 8 characters or more are masked from now on; of `Bearer abc…` also the second word alone. */
  add(...secrets: readonly (string | undefined)[]): void {
    for (const secret of secrets) {
      for (const part of [secret ?? '', ...(secret ?? '').split(/\s+/)]) {
        // As it looks inside a line of JSON.
        const written = JSON.stringify(part).slice(1, -1);
        if (part.length >= SHORTEST && !this.known.has(written)) {
          this.known.add(written);
          this.pattern = undefined;
        }
      }
    }
  }

  /** The user's password in a URL of a server, as it is written there and as it is meant. */
  addPasswordOf(url: string | undefined): void {
    if (url === undefined || !URL.canParse(url)) return;
    const { password } = new URL(url);
    this.add(password, decoded(password));
  }

  apply(line: string): string {
    const masked = line.replace(CREDENTIALS, `://${MASKED}@`);
    if (this.known.size === 0) return masked;
    this.pattern ??= new RegExp(
      // The longest first: of two secrets one may begin with the other.
      [...this.known]
        .sort((a, b) => b.length - a.length)
        .map(escaped)
        .join('|'),
      'g',
    );
    return masked.replace(this.pattern, MASKED);
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
