import type { WriteStream } from 'node:tty';

export type Style = 'dim' | 'bold' | 'good' | 'warn' | 'bad';

/** What a person sees output on, or what takes it in a script. */
export interface Screen {
  /** Columns of the terminal; undefined when the output goes elsewhere, and is never cut. */
  readonly columns: number | undefined;
  /** Writes to standard output; a line end is added. */
  print(text: string): void;
  /** Writes to standard error: what is not the answer itself. */
  note(text: string): void;
  /** Colours a text, if the output is a terminal that wants colours. */
  style(style: Style, text: string): string;
}

const CODES: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  dim: [2, 22],
  bold: [1, 22],
  good: [32, 39],
  warn: [33, 39],
  bad: [31, 39],
};

/** The screen of this process. NO_COLOR and TERM=dumb switch colours off, as does anything but a terminal. */
export function processScreen(stdout: WriteStream, stderr: WriteStream): Screen {
  const isTerminal = stdout.isTTY;
  const hasColours = isTerminal && stdout.hasColors();
  return {
    columns: isTerminal ? stdout.columns : undefined,
    print: (text) => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`${text}\n`),
    style: (style, text) => {
      if (!hasColours || text === '') return text;
      const [on, off] = CODES[style];
      return `\u001b[${on}m${text}\u001b[${off}m`;
    },
  };
}

/**
 * Texts of nodes and callers, fit for a terminal: control characters, which could rewrite the screen, and marks that
 * turn the direction of writing are shown as a replacement character; line ends and tabs become blanks.
 */
export function harmless(text: string): string {
  return (
    text
      .replace(/\s+/g, ' ')
      // oxlint-disable-next-line no-control-regex
      .replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '\ufffd')
  );
}
