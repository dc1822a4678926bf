import { isUtf8 } from 'node:buffer';

/**
 * JSON as bytes. The gateway passes payloads on without parsing them into JavaScript values: 2**256-1,
 * 1.0, 1e400, duplicate keys and lone surrogates would not survive that (docs/protocol.md §2). These functions
 * find *where* a value stands, and check its grammar on the way, so that its bytes can be sliced out.
 *
 * The grammar is RFC 8259 plus the bare words `NaN`, `Infinity` and `-Infinity`, which nodes and the
 * official client (both Python) write and read. Nesting costs heap, not stack: any depth that fits the
 * body limit is accepted.
 */

export type JsonKind = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null';

/** A value inside a text: `text.subarray(start, end)` are its bytes, without surrounding white space. */
export interface JsonSlice {
  readonly kind: JsonKind;
  readonly start: number;
  readonly end: number;
}

/** The text is not JSON. `offset` is the byte at which that became clear. */
export class JsonSyntaxError extends Error {
  constructor(
    readonly expected: string,
    readonly offset: number,
  ) {
    super(`${expected} expected at byte ${offset}`);
    this.name = 'JsonSyntaxError';
  }
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** The kind that a value's first byte announces; bytes that start no value are undefined. */
const KIND_BY_FIRST_BYTE = new Map<number, JsonKind>([
  [OPEN_OBJECT, 'object'],
  [OPEN_ARRAY, 'array'],
  [QUOTE, 'string'],
  [0x74, 'boolean'], // t
  [0x66, 'boolean'], // f
  [0x6e, 'null'], // n
  [MINUS, 'number'],
  [0x4e, 'number'], // N of NaN
  [0x49, 'number'], // I of Infinity
  ...Array.from({ length: 10 }, (_, digit): [number, JsonKind] => [ZERO + digit, 'number']),
]);

const WORD_BY_FIRST_BYTE = new Map<number, string>(
  ['true', 'false', 'null', 'NaN', 'Infinity'].map((word) => [word.charCodeAt(0), word]),
);

/** Bytes that may follow a backslash, but for `u`: " \ / b f n r t */
const SIMPLE_ESCAPES = new Set(Array.from('"\\/bfnrt', (char) => char.charCodeAt(0)));

/**
 * The one value that a whole text holds.
 * @throws JsonSyntaxError unless the text is valid UTF-8 and exactly one JSON value
 */
export function jsonValue(text: Buffer): JsonSlice {
  if (!isUtf8(text)) throw new JsonSyntaxError('UTF-8 text', 0);
  const value = valueAt(text, skipSpace(text, 0));
  const rest = skipSpace(text, value.end);
  if (rest !== text.length) throw new JsonSyntaxError('end of text', rest);
  return value;
}

/**
 * The members of an object by decoded key. Of duplicate keys the last one counts, as in Python and JavaScript.
 * @throws JsonSyntaxError
 */
export function jsonMembers(text: Buffer, object: JsonSlice): Map<string, JsonSlice> {
  const members = new Map<string, JsonSlice>();
  let at = skipSpace(text, object.start + 1);
  if (text[at] === CLOSE_OBJECT) return members;
  for (;;) {
    const keyEnd = skipString(text, at);
    const key = JSON.parse(text.toString('utf8', at, keyEnd)) as string;
    const value = valueAt(text, skipSpace(text, skipColon(text, keyEnd)));
    members.set(key, value);
    at = skipSpace(text, value.end);
    if (text[at] === CLOSE_OBJECT) return members;
    if (text[at] !== COMMA) throw new JsonSyntaxError('"," or "}"', at);
    at = skipSpace(text, at + 1);
  }
}

/**
 * The elements of an array, in order.
 * @throws JsonSyntaxError
 */
export function jsonElements(text: Buffer, array: JsonSlice): JsonSlice[] {
  const elements: JsonSlice[] = [];
  let at = skipSpace(text, array.start + 1);
  if (text[at] === CLOSE_ARRAY) return elements;
  for (;;) {
    const value = valueAt(text, at);
    elements.push(value);
    at = skipSpace(text, value.end);
    if (text[at] === CLOSE_ARRAY) return elements;
    if (text[at] !== COMMA) throw new JsonSyntaxError('"," or "]"', at);
    at = skipSpace(text, at + 1);
  }
}

/** The bytes of a slice; a view, not a copy. */
export function bytesOf(text: Buffer, slice: JsonSlice): Buffer {
  return text.subarray(slice.start, slice.end);
}

/** A slice as a JavaScript value. Only for what the gateway itself reads: ids, container names, statuses. */
export function decoded(text: Buffer, slice: JsonSlice): unknown {
  return JSON.parse(text.toString('utf8', slice.start, slice.end));
}

function valueAt(text: Buffer, start: number): JsonSlice {
  const kind = KIND_BY_FIRST_BYTE.get(text[start] ?? -1);
  if (kind === undefined) throw new JsonSyntaxError('a JSON value', start);
  return { kind, start, end: skipValue(text, start) };
}

/** Walks one value with its own stack of open brackets; returns the offset behind it. */
function skipValue(text: Buffer, start: number): number {
  const open: number[] = [];
  let at = start;
  for (;;) {
    const byte = text[at];
    if (byte === OPEN_OBJECT) {
      at = skipSpace(text, at + 1);
      if (text[at] !== CLOSE_OBJECT) {
        open.push(OPEN_OBJECT);
        at = skipKey(text, at);
        continue;
      }
      at += 1;
    } else if (byte === OPEN_ARRAY) {
      at = skipSpace(text, at + 1);
      if (text[at] !== CLOSE_ARRAY) {
        open.push(OPEN_ARRAY);
        continue;
      }
      at += 1;
    } else {
      at = skipScalar(text, at);
    }
    // A value has ended: close what ends with it, then go on to the next value, if any.
    for (;;) {
      const container = open.at(-1);
      if (container === undefined) return at;
      at = skipSpace(text, at);
      if (text[at] === COMMA) {
        at = skipSpace(text, at + 1);
        if (container === OPEN_OBJECT) at = skipKey(text, at);
        break;
      }
      const closing = container === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_ARRAY;
      if (text[at] !== closing) throw new JsonSyntaxError('"," or a closing bracket', at);
      open.pop();
      at += 1;
    }
  }
}

/** A member's key with its colon; returns the offset of the member's value. */
function skipKey(text: Buffer, at: number): number {
  return skipSpace(text, skipColon(text, skipString(text, at)));
}

function skipColon(text: Buffer, at: number): number {
  const colon = skipSpace(text, at);
  if (text[colon] !== COLON) throw new JsonSyntaxError('":"', colon);
  return colon + 1;
}

function skipScalar(text: Buffer, at: number): number {
  const byte = text[at];
  if (byte === QUOTE) return skipString(text, at);
  if (byte === MINUS || isDigit(byte)) return skipNumber(text, at);
  return skipWord(text, at);
}

function skipWord(text: Buffer, at: number): number {
  const word = WORD_BY_FIRST_BYTE.get(text[at] ?? -1);
  if (word === undefined || text.toString('latin1', at, at + word.length) !== word) {
    throw new JsonSyntaxError('a JSON value', at);
  }
  return at + word.length;
}

function skipString(text: Buffer, start: number): number {
  if (text[start] !== QUOTE) throw new JsonSyntaxError('a string', start);
  let at = start + 1;
  for (;;) {
    const byte = text[at];
    if (byte === undefined) throw new JsonSyntaxError('a closing quote', at);
    if (byte === QUOTE) return at + 1;
    if (byte < 0x20) throw new JsonSyntaxError('an escaped control character', at);
    at = byte === BACKSLASH ? skipEscape(text, at) : at + 1;
  }
}

function skipEscape(text: Buffer, at: number): number {
  const escaped = text[at + 1] ?? -1;
  if (SIMPLE_ESCAPES.has(escaped)) return at + 2;
  if (escaped === 0x75 && /^[0-9a-fA-F]{4}$/.test(text.toString('latin1', at + 2, at + 6))) return at + 6;
  throw new JsonSyntaxError('a valid escape sequence', at);
}

function skipNumber(text: Buffer, start: number): number {
  let at = start;
  if (text[at] === MINUS) at += 1;
  if (text[at] === 0x49) return skipWord(text, at); // -Infinity
  at = text[at] === ZERO ? at + 1 : skipDigits(text, at);
  if (text[at] === DOT) at = skipDigits(text, at + 1);
  if (text[at] === 0x65 || text[at] === 0x45) {
    at += 1;
    if (text[at] === 0x2b || text[at] === MINUS) at += 1;
    at = skipDigits(text, at);
  }
  return at;
}

function skipDigits(text: Buffer, start: number): number {
  let at = start;
  while (isDigit(text[at])) at += 1;
  if (at === start) throw new JsonSyntaxError('a digit', at);
  return at;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}

function skipSpace(text: Buffer, start: number): number {
  let at = start;
  for (;;) {
    const byte = text[at];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return at;
    at += 1;
  }
}
