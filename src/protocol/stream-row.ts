import { JsonSyntaxError } from './raw-json.js';

/** What a node says of one job, read without ever holding a long result. */
export interface StreamRow {
  readonly id: string;
  readonly status: 'running' | 'success' | 'failed';
  /** The node's bytes; undefined if there are more than were to be kept. */
  readonly result: Buffer | undefined;
  readonly resultBytes: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
/** Longer names and statuses mean nothing. */
const SHORT_BYTES = 256;

/**
 * Reads the first row of a node's `GET /api/jobs?id=…` while it arrives. The row of a stream carries its whole output
 * and tells the status last (docs/protocol.md §1), so the output is skipped as fast as its quotes are found, and kept
 * only up to a limit. Push chunks, then ask `end`.
 */
export class StreamRowReader {
  private depth = 0;
  private started = false;
  private inString = false;
  private escaped = false;
  /** The row has been read; what follows is of no interest. */
  private rowEnded = false;
  /** The short string at hand: a name in the row, or a value of `id` or `status`. */
  private word: Buffer | undefined;
  private name = '';
  private afterColon = false;
  private readonly values: Record<string, string> = {};
  private resultParts: Buffer[] = [];
  private resultBytes = 0;

  /** @param keepBytes a longer result is counted and not kept */
  constructor(private readonly keepBytes: number) {}

  /** @throws JsonSyntaxError when the text is not an array of rows */
  push(chunk: Buffer): void {
    // Where the next of each is, so that a chunk is searched once, not from every escape anew.
    let quoteAt = -1;
    let slashAt = -1;
    let at = 0;
    let copied = 0;
    const inResult = (): boolean => this.afterColon && this.name === 'result' && this.depth >= 2;
    const copyUntil = (end: number): void => {
      if (inResult()) this.keep(chunk.subarray(copied, end));
      copied = end;
    };
    while (at < chunk.length) {
      if (this.inString) {
        if (this.escaped) {
          this.escaped = false;
          at += 1;
          continue;
        }
        if (quoteAt < at) quoteAt = indexIn(chunk, QUOTE, at);
        if (slashAt < at) slashAt = indexIn(chunk, BACKSLASH, at);
        const end = Math.min(quoteAt, slashAt);
        this.gather(chunk, at, end);
        at = end;
        if (at === chunk.length) break;
        if (at === slashAt) this.escaped = true;
        else this.endString();
        at += 1;
        continue;
      }
      const byte = chunk[at] as number;
      if (byte === QUOTE) {
        if (this.depth < 1) throw new JsonSyntaxError('an array', at);
        this.inString = true;
        if (this.depth === 2 && !inResult()) this.word = Buffer.alloc(0);
      } else if (byte === 0x5b || byte === 0x7b) {
        if (!this.started && byte !== 0x5b) throw new JsonSyntaxError('an array', at);
        this.started = true;
        this.depth += 1;
      } else if (byte === 0x5d || byte === 0x7d) {
        if (this.depth === 2) {
          copyUntil(at);
          this.afterColon = false;
          this.rowEnded = true;
        }
        this.depth -= 1;
        if (this.depth < 0) throw new JsonSyntaxError('one array', at);
      } else if (this.depth === 2 && byte === COLON) {
        this.afterColon = true;
        copied = at + 1;
      } else if (this.depth === 2 && byte === COMMA) {
        copyUntil(at);
        this.afterColon = false;
      } else if (!this.started && byte > 0x20) {
        throw new JsonSyntaxError('an array', at);
      }
      at += 1;
    }
    copyUntil(chunk.length);
  }

  /**
   * @returns the row; undefined if the node does not know the job
   * @throws JsonSyntaxError when the text stopped early, or the row lacks what every row has
   */
  end(): StreamRow | undefined {
    if (!this.started || this.depth !== 0) throw new JsonSyntaxError('the end of the array', 0);
    if (!this.rowEnded) return undefined;
    const { id, status } = this.values;
    if (id === undefined || (status !== 'running' && status !== 'success' && status !== 'failed')) {
      throw new JsonSyntaxError('a row with id and status', 0);
    }
    const { resultBytes } = this;
    const result = resultBytes <= this.keepBytes ? Buffer.concat(this.resultParts) : undefined;
    return { id, status, result, resultBytes };
  }

  private endString(): void {
    this.inString = false;
    if (this.word === undefined) return;
    const text = this.word.toString();
    this.word = undefined;
    if (this.rowEnded) return;
    if (!this.afterColon) this.name = text;
    else if (this.name === 'id' || this.name === 'status') this.values[this.name] = text;
  }

  private gather(chunk: Buffer, from: number, to: number): void {
    if (this.word === undefined || this.word.length > SHORT_BYTES) return;
    this.word = Buffer.concat([this.word, chunk.subarray(from, to)]);
  }

  private keep(bytes: Buffer): void {
    if (this.rowEnded) return;
    this.resultBytes += bytes.length;
    if (this.resultBytes <= this.keepBytes) this.resultParts.push(Buffer.from(bytes));
    else this.resultParts = [];
  }
}

/** The index of a byte from `from` on; the length if there is none. */
function indexIn(chunk: Buffer, byte: number, from: number): number {
  const at = chunk.indexOf(byte, from);
  return at === -1 ? chunk.length : at;
}
