import { bytesOf, decoded, jsonMembers, JsonSyntaxError, jsonValue } from './raw-json.js';

/** A row of a node's `GET /api/jobs?id=…`, docs/protocol.md §1; `result` and `intermediate` are the node's bytes. */
export interface ResultRow {
  readonly id: string;
  readonly status: 'running' | 'success' | 'failed';
  readonly result: Buffer;
  readonly intermediate: Buffer | undefined;
}

/** A row that was larger than allowed and was dropped while it arrived. `id` is undefined if it came late in the row. */
export interface OversizeRow {
  readonly id: string | undefined;
  readonly oversize: true;
}

/** How much of an oversize row is kept to find its id, which the node sends first. */
const HEAD_BYTES = 1_024;

/**
 * Cuts a JSON array into its elements while it arrives, so that a reply with hundreds of results is never
 * held whole. Push chunks, take rows; call `end` after the last chunk.
 */
export class ResultRowReader {
  private started = false;
  private ended = false;
  private depth = 0;
  private inString = false;
  private escaped = false;
  private parts: Buffer[] = [];
  private rowBytes = 0;

  /** @param maxRowBytes a longer row is dropped and reported as oversize */
  constructor(private readonly maxRowBytes: number) {}

  /**
   * @returns the rows that this chunk completes
   * @throws JsonSyntaxError when the text is not an array of rows
   */
  push(chunk: Buffer): (ResultRow | OversizeRow)[] {
    const rows: (ResultRow | OversizeRow)[] = [];
    let rowStart = this.depth > 1 ? 0 : -1;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (this.inString) {
        if (this.escaped) this.escaped = false;
        else if (byte === 0x5c) this.escaped = true;
        else if (byte === 0x22) this.inString = false;
        continue;
      }
      if (byte === 0x22) {
        if (this.depth < 2) throw new JsonSyntaxError('an array of objects', at);
        this.inString = true;
      } else if (byte === 0x7b || byte === 0x5b) {
        if (this.ended || (!this.started && byte !== 0x5b)) throw new JsonSyntaxError('one array', at);
        this.started = true;
        this.depth += 1;
        if (this.depth === 2) rowStart = at;
      } else if (byte === 0x7d || byte === 0x5d) {
        this.depth -= 1;
        if (this.depth === 1) {
          this.keep(chunk.subarray(rowStart, at + 1));
          rows.push(this.takeRow());
          rowStart = -1;
        } else if (this.depth === 0) this.ended = true;
        else if (this.depth < 0) throw new JsonSyntaxError('one array', at);
      } else if (!this.started && byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) {
        throw new JsonSyntaxError('an array', at);
      }
    }
    if (rowStart >= 0) this.keep(chunk.subarray(rowStart));
    return rows;
  }

  /** @throws JsonSyntaxError when the text stopped before the array was closed */
  end(): void {
    if (!this.ended) throw new JsonSyntaxError('the end of the array', 0);
  }

  private keep(bytes: Buffer): void {
    const wasWithin = this.rowBytes <= this.maxRowBytes;
    this.rowBytes += bytes.length;
    if (this.rowBytes <= this.maxRowBytes) this.parts.push(bytes);
    else if (wasWithin) this.parts = [Buffer.concat([...this.parts, bytes.subarray(0, HEAD_BYTES)])];
  }

  private takeRow(): ResultRow | OversizeRow {
    const { parts, rowBytes } = this;
    this.parts = [];
    this.rowBytes = 0;
    const bytes = Buffer.concat(parts);
    if (rowBytes <= this.maxRowBytes) return parseRow(bytes);
    const id = /"id":\s*"([^"\\]+)"/.exec(bytes.toString('latin1', 0, HEAD_BYTES))?.[1];
    return { id, oversize: true };
  }
}

/** @throws JsonSyntaxError when the row lacks what every row has */
function parseRow(bytes: Buffer): ResultRow {
  const value = jsonValue(bytes);
  if (value.kind !== 'object') throw new JsonSyntaxError('an object', value.start);
  const members = jsonMembers(bytes, value);
  const id = members.get('id');
  const status = members.get('status');
  if (id?.kind !== 'string' || status?.kind !== 'string')
    throw new JsonSyntaxError('id and status', value.end);
  const word = decoded(bytes, status);
  if (word !== 'running' && word !== 'success' && word !== 'failed') {
    throw new JsonSyntaxError('status running, success or failed', status.start);
  }
  const result = members.get('result');
  // The wire says intermediate_results, the documents say intermediate; docs/protocol.md §1.
  const intermediate = members.get('intermediate_results') ?? members.get('intermediate');
  return {
    id: decoded(bytes, id) as string,
    status: word,
    result: result === undefined ? Buffer.from('null') : bytesOf(bytes, result),
    intermediate: intermediate === undefined ? undefined : bytesOf(bytes, intermediate),
  };
}
