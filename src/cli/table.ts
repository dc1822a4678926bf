import CliTable from 'cli-table3';
import { harmless, type Screen, type Style } from './screen.js';

/** A column of a table for people. */
export interface Column<Row> {
  readonly title: string;
  /** The text of a cell; it may come from anybody and is made harmless. */
  readonly value: (row: Row) => string;
  readonly style?: (row: Row) => Style | undefined;
  readonly align?: 'right';
  /** Where room is short, columns are left out from the highest number down; those without one stay. */
  readonly dispensable?: number;
}

const GAP = '  ';
const MIN_WIDTH = 8;

/**
 * Rows in aligned columns without lines. On a terminal it fits the width: dispensable columns go first, and what is
 * still too wide is cut and marked; a last line says what was left out. Elsewhere nothing is cut.
 */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], screen: Screen): string {
  const texts = new Map(columns.map((column) => [column, rows.map((row) => harmless(column.value(row)))]));
  const widthOf = (column: Column<Row>): number =>
    Math.max(...[column.title, ...(texts.get(column) ?? [])].map((text) => Array.from(text).length));
  const { shown, widths, leftOut } = fit(columns, widthOf, screen.columns);
  const grid = layout({
    head: shown.map(({ title }) => screen.style('dim', title)),
    colAligns: shown.map(({ align }) => align ?? 'left'),
    colWidths: widths,
  });
  for (const [index, row] of rows.entries()) {
    grid.push(
      shown.map((column) => {
        const style = column.style?.(row);
        const text = texts.get(column)?.[index] ?? '';
        return style === undefined ? text : screen.style(style, text);
      }),
    );
  }
  const body = trimmed(grid.toString());
  if (leftOut.length === 0) return body;
  const titles = `(no room for ${leftOut.map(({ title }) => title).join(', ')})`;
  const isTooLong = titles.length > (screen.columns ?? titles.length);
  return `${body}\n${screen.style('dim', isTooLong ? `(no room for ${leftOut.length} columns)` : titles)}`;
}

/** Names and values below each other; long values are wrapped on a terminal. */
export function pairs(entries: readonly (readonly [name: string, value: string])[], screen: Screen): string {
  const nameWidth = Math.max(...entries.map(([name]) => name.length));
  const valueWidth = screen.columns === undefined ? null : screen.columns - nameWidth - GAP.length;
  const wraps = valueWidth !== null && valueWidth >= MIN_WIDTH;
  const wrapping = { colWidths: [nameWidth, valueWidth], wordWrap: true, wrapOnWordBoundary: true };
  const grid = layout(wraps ? wrapping : {});
  for (const [name, value] of entries) grid.push([screen.style('dim', name), harmless(value)]);
  return trimmed(grid.toString());
}

function fit<Row>(
  columns: readonly Column<Row>[],
  widthOf: (column: Column<Row>) => number,
  room: number | undefined,
): { shown: Column<Row>[]; widths: (number | null)[]; leftOut: Column<Row>[] } {
  const shown = [...columns];
  const leftOut: Column<Row>[] = [];
  if (room === undefined) return { shown, widths: shown.map(() => null), leftOut };
  const total = (widths: readonly number[]): number =>
    widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1));
  while (total(shown.map(widthOf)) > room) {
    const least = shown
      .filter(({ dispensable }) => dispensable !== undefined)
      .sort((a, b) => (b.dispensable ?? 0) - (a.dispensable ?? 0))[0];
    if (least === undefined) break;
    leftOut.unshift(...shown.splice(shown.indexOf(least), 1));
  }
  const widths = shown.map(widthOf);
  while (total(widths) > room) {
    const widest = widths.indexOf(Math.max(...widths));
    const width = widths[widest] ?? 0;
    if (width <= MIN_WIDTH) break;
    widths[widest] = Math.max(MIN_WIDTH, width - (total(widths) - room));
  }
  return { shown, widths, leftOut };
}

function layout(options: CliTable.TableConstructorOptions): CliTable.Table {
  const none = { left: '', right: '', mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' };
  const top = { top: '', 'top-mid': '', 'top-left': '', 'top-right': '' };
  const bottom = { bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '' };
  return new CliTable({
    chars: { ...none, ...top, ...bottom, middle: GAP },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    ...options,
  });
}

function trimmed(text: string): string {
  return text.replace(/ +$/gm, '');
}
