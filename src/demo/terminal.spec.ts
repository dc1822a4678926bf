import { expect, it } from 'vitest';
import { milliseconds, Terminal, type Output } from './terminal.js';

class Recorder implements Output {
  text = '';
  readonly columns = 80;

  constructor(
    readonly isTTY: boolean,
    private readonly colors: boolean,
  ) {}

  hasColors(): boolean {
    return this.colors;
  }

  write(text: string): void {
    this.text += text;
  }
}

function write(terminal: Terminal): void {
  terminal.heading('Title');
  terminal.table(
    [{ title: 'node' }, { title: 'jobs', align: 'right' }, { title: '' }],
    [['quick', '9', terminal.bar(0.5, 4)]],
  );
  for (let done = 0; done <= 10; done += 1) terminal.progress(done, 10, 'done');
  terminal.good('fine');
}

it('writes plain ASCII lines into a log', () => {
  const out = new Recorder(false, true);
  write(new Terminal(out));
  expect(out.text).toBe(
    [
      '',
      '== Title',
      '  node   jobs',
      '  -----  ----  ----',
      '  quick     9  ##..',
      '   2 of 10 done',
      '   4 of 10 done',
      '   6 of 10 done',
      '   8 of 10 done',
      '  10 of 10 done',
      '  ok fine',
      '',
    ].join('\n'),
  );
});

it('redraws one line of progress on a terminal, and puts nothing else behind it', () => {
  const out = new Recorder(true, false);
  write(new Terminal(out));
  expect(out.text).toContain('\r');
  expect(out.text).toContain('10 of 10 done\n  ✓ fine\n');
  // The only escape sequence without colours clears the line.
  // oxlint-disable-next-line no-control-regex
  expect(out.text.match(/\u001b\[[^K]/)).toBeNull();
});

it('colours where the terminal has colours, and aligns by what is seen', () => {
  const out = new Recorder(true, true);
  write(new Terminal(out));
  expect(out.text).toContain('\u001b[32m✓\u001b[39m fine');
  expect(out.text).toContain('─────  ────  ────\u001b[22m\n');
});

it('takes a dumb terminal for a log', () => {
  const out = new Recorder(true, true);
  write(new Terminal(out, 'dumb'));
  expect(out.text).toContain('== Title');
});

it('is silent once closed', () => {
  const out = new Recorder(false, false);
  const terminal = new Terminal(out);
  terminal.close('bye');
  terminal.line('more');
  expect(out.text).toBe('bye\n');
});

it.each([
  [0.12, '0.1 ms'],
  [42.4, '42 ms'],
  [1_234, '1.2 s'],
])('%d ms is written %s', (ms, text) => {
  expect(milliseconds(ms)).toBe(text);
});
