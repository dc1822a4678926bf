import { bytesOf, decoded, jsonElements, jsonMembers, jsonValue, type JsonSlice } from './raw-json.js';

/**
 * What the containers of nodes say of themselves (`GET /resources`, docs/protocol.md §1), for a whole fleet. Values are
 * never parsed into numbers: what is not merged stays the bytes that came, `NaN` and `Infinity` included.
 */

/** Container id → the bytes of its value. */
export type ResourceEntries = ReadonlyMap<string, Buffer>;

/**
 * Reads a node's reply.
 * @throws Error unless it is a JSON object
 */
export function readResources(body: Buffer): ResourceEntries {
  const value = jsonValue(body);
  if (value.kind !== 'object') throw new Error(`unusable /resources: an object expected, not ${value.kind}`);
  return new Map([...jsonMembers(body, value)].map(([id, slice]) => [id, bytesOf(body, slice)]));
}

/** Writes entries as a node does: keys sorted, with a newline at the end. */
export function writeResources(entries: Iterable<readonly [string, Uint8Array]>): Buffer {
  return Buffer.concat([writeObject(entries), Buffer.from('\n')]);
}

/**
 * The resources of one container on several nodes as one value:
 *
 * - equal values are one
 * - objects: all members of all; a member that several have is merged in turn
 * - arrays: all elements of all, equal ones once; objects with the same `id` are merged in turn
 * - of other values that differ the first one counts
 *
 * So the models of a capability are those of all nodes, and hardware that differs is listed side by side.
 * @param values in the order in which the nodes were registered; not empty
 */
export function mergeResources(values: readonly Buffer[]): Buffer {
  return values.reduce((merged, value) => (merged.equals(value) ? merged : mergeTwo(merged, value)));
}

/**
 * Whether a container supports a model (`GET /resources?model_id=`), as the nodes that run it answered: supported if it is on any of
 * them. If on none, an answer without an `error` goes before one with it.
 * @param values not empty
 */
export function mergeSupport(values: readonly Buffer[]): Buffer {
  const supporting = values.find((value) => textOfMember(value, 'supported') === 'true');
  const plain = values.find((value) => textOfMember(value, 'error') === undefined);
  return supporting ?? plain ?? (values[0] as Buffer);
}

function mergeTwo(first: Buffer, second: Buffer): Buffer {
  const a = jsonValue(first);
  const b = jsonValue(second);
  if (a.kind === 'object' && b.kind === 'object') {
    const members = new Map(slicesOf(first, jsonMembers(first, a)));
    for (const [key, value] of slicesOf(second, jsonMembers(second, b))) {
      const known = members.get(key);
      members.set(key, known === undefined ? value : mergeResources([known, value]));
    }
    return writeObject(members);
  }
  if (a.kind === 'array' && b.kind === 'array') {
    const elements = jsonElements(first, a).map((slice) => bytesOf(first, slice));
    for (const slice of jsonElements(second, b)) unite(elements, bytesOf(second, slice));
    return Buffer.concat([OPEN_ARRAY, ...separated(elements), CLOSE_ARRAY]);
  }
  return first;
}

/** Adds an element unless it is there; one with the same `id` takes it in. */
function unite(elements: Buffer[], element: Buffer): void {
  if (elements.some((known) => known.equals(element))) return;
  const id = textOfMember(element, 'id');
  const index = id === undefined ? -1 : elements.findIndex((known) => textOfMember(known, 'id') === id);
  if (index === -1) elements.push(element);
  else elements[index] = mergeResources([elements[index] as Buffer, element]);
}

/** The bytes of a member as text; undefined if `value` is no object or has none. */
function textOfMember(value: Buffer, name: string): string | undefined {
  const slice = jsonValue(value);
  if (slice.kind !== 'object') return undefined;
  const member = jsonMembers(value, slice).get(name);
  if (member === undefined) return undefined;
  return member.kind === 'string' ? String(decoded(value, member)) : bytesOf(value, member).toString();
}

function slicesOf(text: Buffer, members: ReadonlyMap<string, JsonSlice>): [string, Buffer][] {
  return [...members].map(([key, slice]) => [key, bytesOf(text, slice)]);
}

const OPEN_ARRAY = Buffer.from('[');
const CLOSE_ARRAY = Buffer.from(']');
const COMMA = Buffer.from(',');

function writeObject(entries: Iterable<readonly [string, Uint8Array]>): Buffer {
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
  const members = sorted.map(([key, value]) =>
    Buffer.concat([Buffer.from(`${JSON.stringify(key)}:`), value]),
  );
  return Buffer.concat([Buffer.from('{'), ...separated(members), Buffer.from('}')]);
}

function separated(items: readonly Buffer[]): Buffer[] {
  return items.flatMap((item, index) => (index === 0 ? [item] : [COMMA, item]));
}
