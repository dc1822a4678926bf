/** Figures and times as people read them. */

const NONE = '–';

/** `1,234`; with one decimal below 10 unless whole, and one digit that says something below 0.1. */
export function formatNumber(value: number | null | undefined): string {
  if (value == null) return NONE;
  if (value !== 0 && Math.abs(value) < 0.095)
    return value.toLocaleString('en', { maximumSignificantDigits: 1 });
  const digits = Math.abs(value) < 10 && !Number.isInteger(value) ? 1 : 0;
  return value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

/** `0.5 ms`, `12 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatDuration(ms: number | null | undefined): string {
  if (ms == null) return NONE;
  if (ms < 9.95 && !Number.isInteger(ms)) return `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return twoUnits(seconds, 60, 'min', 's');
  if (seconds < 86_400) return twoUnits(Math.round(seconds / 60), 60, 'h', 'min');
  return twoUnits(Math.round(seconds / 3_600), 24, 'd', 'h');
}

function twoUnits(amount: number, base: number, large: string, small: string): string {
  const rest = amount % base;
  return `${Math.floor(amount / base)} ${large}${rest === 0 ? '' : ` ${rest} ${small}`}`;
}

/** `just now`, `12 s ago`, `in 3 min`. */
export function formatRelative(at: string, nowMs: number): string {
  const ms = nowMs - Date.parse(at);
  if (Math.abs(ms) < 1_500) return 'just now';
  const text = roughly(Math.abs(ms));
  return ms > 0 ? `${text} ago` : `in ${text}`;
}

function roughly(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** Local date and time to the millisecond, for titles. */
export function formatExact(at: string): string {
  const date = new Date(at);
  const ms = String(date.getMilliseconds()).padStart(3, '0');
  return `${date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })}, ${date.toLocaleTimeString('en-GB')}.${ms}`;
}

/** `512 B`, `1.4 kB`, `3 MB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${formatNumber(bytes / 1_000)} kB`;
  return `${formatNumber(bytes / 1_000_000)} MB`;
}

/** `98.7 %`; never 100 % unless it is. */
export function formatShare(part: number, whole: number): string {
  if (whole === 0) return NONE;
  if (part === whole) return '100 %';
  return `${Math.min(99.9, Math.floor((part / whole) * 1_000) / 10)} %`;
}
