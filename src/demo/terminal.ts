import { stripVTControlCharacters, styleText } from 'node:util';
import { shortJson, wrapped } from './shorten.js';
import type { Exchange } from './application.js';

type Style = Parameters<typeof styleText>[0];

/** Where the demo writes to; `process.stdout`. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  /** Says no under NO_COLOR and on terminals without colours. */
  hasColors?(): boolean;
  write(text: string): unknown;
}

/** One column of a table. */
export interface Column {
  readonly title: string;
  readonly align?: 'right';
}

const UNICODE = {
  sent: '→',
  received: '←',
  good: '✓',
  bad: '✗',
  heading: '▸',
  rule: '─',
  full: '█',
  empty: '░',
};
const ASCII = {
  sent: '->',
  received: '<-',
  good: 'ok',
  bad: '!!',
  heading: '==',
  rule: '-',
  full: '#',
  empty: '.',
};

const INDENT = '    ';
const WIDEST = 110;
const BAR_WIDTH = 40;
/** Without a terminal progress is a line for each of so many parts. */
const PROGRESS_LINES = 5;

/** How the demo writes: colours and redrawn lines on a terminal; plain ASCII, a line at a time, into a log. */
export class Terminal {
  readonly glyphs: typeof UNICODE;
  private readonly isInteractive: boolean;
  private readonly hasColors: boolean;
  private readonly width: number;
  private drawn = false;
  private isClosed = false;

  /** @param term the environment's TERM; a `dumb` terminal is treated as a log */
  constructor(
    private readonly out: Output,
    term?: string,
  ) {
    this.isInteractive = out.isTTY === true && term !== 'dumb';
    this.hasColors = this.isInteractive && out.hasColors?.() === true;
    this.glyphs = this.isInteractive ? UNICODE : ASCII;
    // A log is read with tools that break lines themselves, and searched by line.
    this.width = this.isInteractive ? Math.min(out.columns || WIDEST, WIDEST) - 2 * INDENT.length : Infinity;
  }

  /** The text in a style, where there are colours. */
  style(style: Style, text: string): string {
    // Whether colours are wanted was decided above; styleText would look at another stream.
    return this.hasColors && text !== '' ? styleText(style, text, { validateStream: false }) : text;
  }

  line(text = ''): void {
    this.endDrawing();
    this.write(`${text}\n`);
  }

  heading(text: string): void {
    this.line();
    this.line(this.style(['bold', 'cyan'], `${this.glyphs.heading} ${text}`));
  }

  good(text: string): void {
    this.line(`  ${this.style('green', this.glyphs.good)} ${text}`);
  }

  bad(text: string): void {
    this.line(`  ${this.style('red', this.glyphs.bad)} ${text}`);
  }

  /** A request and its answer, under what they are about. */
  exchange(about: string, exchange: Exchange): void {
    const { method, path, headers, sent, status, received, ms } = exchange;
    this.line();
    this.line(`  ${this.style('bold', about)}`);
    const [first = '', ...rest] = wrapped(path, this.width);
    const shownHeaders = Object.entries(headers).map(([name, value]) =>
      this.style('dim', `  (${name}: ${value})`),
    );
    this.line(`  ${this.style('yellow', this.glyphs.sent)} ${method} ${first}`);
    for (const line of rest) this.line(`${INDENT}  ${line}`);
    if (shownHeaders.length > 0) this.line(`${INDENT}${shownHeaders.join('').trimStart()}`);
    if (sent !== undefined) this.json(sent);
    const colour = status < 400 ? 'green' : 'red';
    this.line(`  ${this.style(colour, `${this.glyphs.received} ${status}`)} after ${milliseconds(ms)}`);
    this.json(received);
  }

  table(columns: readonly Column[], rows: readonly (readonly string[])[]): void {
    const widths = columns.map(({ title }, index) =>
      Math.max(title.length, ...rows.map((row) => lengthOf(row[index] ?? ''))),
    );
    const written = (cells: readonly string[]): string =>
      columns
        .map(({ align }, index) => {
          const cell = cells[index] ?? '';
          const width = widths[index] ?? 0;
          const padding = ' '.repeat(width - lengthOf(cell));
          return align === 'right' ? padding + cell : cell + padding;
        })
        .join('  ')
        .trimEnd();
    this.line(`  ${this.style('bold', written(columns.map(({ title }) => title)))}`);
    this.line(`  ${this.style('dim', widths.map((width) => this.glyphs.rule.repeat(width)).join('  '))}`);
    for (const row of rows) this.line(`  ${written(row)}`);
  }

  /** A bar of `width` characters, filled by a share between 0 and 1. */
  bar(share: number, width: number): string {
    const full = Math.round(share * width);
    return this.glyphs.full.repeat(full) + this.style('dim', this.glyphs.empty.repeat(width - full));
  }

  /** Shows how far something has come; call it with every step. */
  progress(done: number, total: number, what: string): void {
    const count = `${String(done).padStart(String(total).length)} of ${total} ${what}`;
    if (this.isInteractive) {
      this.write(`\r\u001b[K  ${this.style('cyan', this.bar(done / total, BAR_WIDTH))} ${count}`);
      this.drawn = true;
      if (done === total) this.endDrawing();
    } else if (done > 0 && done % Math.ceil(total / PROGRESS_LINES) === 0) {
      this.line(`  ${count}`);
    }
  }

  /** Says a last thing; whatever is still under way is not shown any more. */
  close(text: string): void {
    this.line(text);
    this.isClosed = true;
  }

  private write(text: string): void {
    if (!this.isClosed) this.out.write(text);
  }

  private json(value: unknown): void {
    if (!Array.isArray(value) || typeof value[0] !== 'object') {
      for (const line of wrapped(shortJson(value), this.width)) this.line(`${INDENT}${line}`);
      return;
    }
    // Rows and batches read best with a line for each item.
    value.forEach((item, index) => {
      const end = index === value.length - 1 ? ']' : ',';
      const lines = wrapped(`${shortJson(item)}${end}`, this.width);
      lines.forEach((line, nth) => this.line(`${INDENT}${index + nth === 0 ? '[' : ' '}${line}`));
    });
  }

  private endDrawing(): void {
    if (this.drawn) this.write('\n');
    this.drawn = false;
  }
}

/** As many characters as are seen of it. */
function lengthOf(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** A duration as people say it: three digits are enough. */
export function milliseconds(ms: number): string {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}
