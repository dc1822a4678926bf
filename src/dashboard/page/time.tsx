import { formatExact, formatRelative } from './format.js';

/** A time as it is spoken of, with the exact one as title. */
export function Time({ at }: { readonly at: string }) {
  return (
    <time dateTime={at} title={formatExact(at)}>
      {formatRelative(at, Date.now())}
    </time>
  );
}
