import { normalisedHash } from './container-hash.js';
import { bytesOf, decoded, jsonMembers, type JsonSlice } from './raw-json.js';
import { article, malformed } from './request-text.js';

/** How a subscription names its containers: by a hash, as nodes from 1.0.0 on take it, or in plain text, as 0.x does. */
export type SubscribedContainers =
  | { readonly form: '1.x'; /** See `containerHash`. */ readonly hash: string }
  | { readonly form: '0.x'; readonly ids: readonly string[] };

/** A delegated subscription, reduced to what a node needs and what the gateway has to know; docs/protocol.md §5. */
export interface DelegatedRequest {
  /** Nodes tell subscriptions apart by owner and nonce. The owner's address is in lower case. */
  readonly owner: string;
  readonly signature: {
    readonly nonce: number;
    /** Until when the signature may be used, in seconds since 1970. */
    readonly expiry: number;
  };
  readonly containers: SubscribedContainers;
  /** How many distinct nodes may answer each interval. */
  readonly redundancy: number;
  /**
   * The JSON object to send to a node: `signature`, `subscription` and `data`, each byte for byte as the application
   * wrote it. Numbers of 256 bits would not survive being parsed. Everything else it wrote is dropped.
   */
  readonly body: Buffer;
}

type Members = ReadonlyMap<string, JsonSlice>;

/** A whole number has at most so many digits, signs and leading characters included; 2**256 has 78. */
const MOST_DIGITS = 80;

/**
 * Reads a delegated subscription from the members of a body.
 * @throws GatewayError MALFORMED_REQUEST with the field
 */
export function readDelegated(text: Buffer, members: Members): DelegatedRequest {
  const signature = objectOf(members, 'signature');
  const subscription = objectOf(members, 'subscription');
  const data = objectOf(members, 'data');
  const reader = new FieldReader(text, 'subscription', jsonMembers(text, subscription));
  const owner = reader.address('owner').toLowerCase();
  for (const name of ['active_at', 'period', 'frequency']) reader.integer(name, 32);
  const redundancy = Number(reader.integer('redundancy', 16));
  return {
    owner,
    signature: readSignature(new FieldReader(text, 'signature', jsonMembers(text, signature))),
    containers: readContainers(reader),
    redundancy,
    body: Buffer.concat([
      Buffer.from('{"signature":'),
      bytesOf(text, signature),
      Buffer.from(',"subscription":'),
      bytesOf(text, subscription),
      Buffer.from(',"data":'),
      bytesOf(text, data),
      Buffer.from('}'),
    ]),
  };
}

function readSignature(reader: FieldReader): DelegatedRequest['signature'] {
  reader.integer('v', 8);
  for (const name of ['r', 's']) reader.integer(name, 256);
  return { nonce: Number(reader.integer('nonce', 32)), expiry: Number(reader.integer('expiry', 32)) };
}

/** The rest of the subscription depends on how it names its containers. */
function readContainers(reader: FieldReader): SubscribedContainers {
  if (reader.has('container_id') && !reader.has('containers')) {
    reader.integer('max_gas_price', 48);
    reader.integer('max_gas_limit', 32);
    reader.string('inputs');
    const ids = reader.string('container_id').split(',');
    if (ids.includes('')) throw reader.wrong('container_id', 'container ids separated by commas');
    return { form: '0.x', ids };
  }
  const hash = normalisedHash(reader.string('containers'));
  if (hash === undefined) throw reader.wrong('containers', 'a keccak256 hash, 64 hexadecimal digits');
  reader.boolean('lazy');
  for (const name of ['verifier', 'payment_token', 'wallet']) reader.address(name);
  reader.integer('payment_amount', 256);
  return { form: '1.x', hash };
}

/** Reads the members of one object, and names them in errors with the object in front. */
class FieldReader {
  constructor(
    private readonly text: Buffer,
    private readonly name: string,
    private readonly members: Members,
  ) {}

  has(field: string): boolean {
    return this.members.has(field);
  }

  /** An unsigned whole number of so many bits. */
  integer(field: string, bits: number): bigint {
    const slice = this.get(field, 'number', `a whole number of ${bits} bits`);
    const digits = this.text.toString('latin1', slice.start, slice.end);
    if (
      slice.end - slice.start > MOST_DIGITS ||
      !/^\d+$/.test(digits) ||
      BigInt(digits) >> BigInt(bits) > 0n
    ) {
      throw this.wrong(field, `an unsigned whole number of at most ${bits} bits`);
    }
    return BigInt(digits);
  }

  string(field: string): string {
    return decoded(this.text, this.get(field, 'string', 'a string')) as string;
  }

  boolean(field: string): void {
    this.get(field, 'boolean', 'true or false');
  }

  address(field: string): string {
    const address = this.string(field);
    if (!/^0x[0-9a-f]{40}$/i.test(address))
      throw this.wrong(field, 'an address, 0x and 40 hexadecimal digits');
    return address;
  }

  wrong(field: string, expected: string): Error {
    return malformed(`${this.name}.${field} must be ${expected}`, `${this.name}.${field}`);
  }

  private get(field: string, kind: JsonSlice['kind'], expected: string): JsonSlice {
    const slice = this.members.get(field);
    const path = `${this.name}.${field}`;
    if (slice === undefined) throw malformed(`${path} is missing`, path);
    if (slice.kind !== kind) throw malformed(`${path} must be ${expected}, not ${article(slice)}`, path);
    return slice;
  }
}

function objectOf(members: Members, name: string): JsonSlice {
  const slice = members.get(name);
  if (slice === undefined) throw malformed(`${name} is missing`, name);
  if (slice.kind !== 'object') throw malformed(`${name} must be an object, not ${article(slice)}`, name);
  return slice;
}
