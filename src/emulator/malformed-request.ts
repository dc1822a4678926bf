import type { JsonKind } from '../protocol/raw-json.js';

/** A body that the node answers with 500; `message` is the text behind the route's own prefix. */
export class MalformedRequest extends Error {}

/** What the node's language calls a JSON value. */
export const PYTHON_TYPES: Record<JsonKind, string> = {
  object: 'dict',
  array: 'list',
  string: 'str',
  number: 'int',
  boolean: 'bool',
  null: 'NoneType',
};
