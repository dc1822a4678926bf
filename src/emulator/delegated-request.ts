import { decoded, jsonMembers, type JsonSlice } from '../protocol/raw-json.js';
import { MalformedRequest, PYTHON_TYPES } from './malformed-request.js';

interface CommonTerms {
  readonly owner: string;
  readonly activeAt: bigint;
  readonly period: bigint;
  readonly frequency: bigint;
  readonly redundancy: bigint;
}

/** What is subscribed to, as nodes from 1.0.0 on take it. `containers` is a hash, with or without `0x`. */
export interface SubscriptionTerms extends CommonTerms {
  readonly containers: string;
  readonly lazy: boolean;
  readonly verifier: string;
  readonly paymentAmount: bigint;
  readonly paymentToken: string;
  readonly wallet: string;
}

/** The same, as nodes 0.x take it. `containerId` holds ids separated by commas. */
export interface OldSubscriptionTerms extends CommonTerms {
  readonly maxGasPrice: bigint;
  readonly maxGasLimit: bigint;
  readonly containerId: string;
  readonly inputs: string;
}

/** A delegated subscription as the node understood it; docs/protocol.md §5. */
export interface DelegatedRequest {
  readonly kind: 'delegated';
  readonly signature: {
    readonly nonce: bigint;
    readonly expiry: bigint;
    readonly v: number;
    readonly r: bigint;
    readonly s: bigint;
  };
  readonly subscription: SubscriptionTerms | OldSubscriptionTerms;
}

/**
 * @param form of the node: 0.x or what came later
 * @throws MalformedRequest
 */
export function delegatedRequest(
  body: Buffer,
  members: ReadonlyMap<string, JsonSlice>,
  form: '0.x' | '1.x',
): DelegatedRequest {
  const signature = new Fields(body, members, 'signature');
  const subscription = new Fields(body, members, 'subscription');
  const common: CommonTerms = {
    owner: subscription.text('owner'),
    activeAt: subscription.integer('active_at'),
    period: subscription.integer('period'),
    frequency: subscription.integer('frequency'),
    redundancy: subscription.integer('redundancy'),
  };
  return {
    kind: 'delegated',
    signature: {
      nonce: signature.integer('nonce'),
      expiry: signature.integer('expiry'),
      v: Number(signature.integer('v')),
      r: signature.integer('r'),
      s: signature.integer('s'),
    },
    subscription:
      form === '0.x'
        ? {
            ...common,
            maxGasPrice: subscription.integer('max_gas_price'),
            maxGasLimit: subscription.integer('max_gas_limit'),
            containerId: subscription.text('container_id'),
            inputs: subscription.text('inputs'),
          }
        : {
            ...common,
            containers: subscription.text('containers'),
            lazy: subscription.flag('lazy'),
            verifier: subscription.text('verifier'),
            paymentAmount: subscription.integer('payment_amount'),
            paymentToken: subscription.text('payment_token'),
            wallet: subscription.text('wallet'),
          },
  };
}

/** The members of one object of the body. */
class Fields {
  readonly #members: ReadonlyMap<string, JsonSlice>;

  constructor(
    readonly body: Buffer,
    members: ReadonlyMap<string, JsonSlice>,
    readonly name: string,
  ) {
    this.#members = jsonMembers(body, get(members, name, 'object'));
  }

  text(name: string): string {
    return decoded(this.body, this.#get(name, 'string')) as string;
  }

  flag(name: string): boolean {
    return decoded(this.body, this.#get(name, 'boolean')) as boolean;
  }

  integer(name: string): bigint {
    const { start, end } = this.#get(name, 'number');
    const digits = this.body.toString('latin1', start, end);
    if (!/^-?\d+$/.test(digits)) {
      throw new MalformedRequest(`wrong value type for field "${this.name}.${name}", got "float"`);
    }
    return BigInt(digits);
  }

  #get(name: string, kind: JsonSlice['kind']): JsonSlice {
    return get(this.#members, name, kind, `${this.name}.`);
  }
}

function get(
  members: ReadonlyMap<string, JsonSlice>,
  name: string,
  kind: JsonSlice['kind'],
  prefix = '',
): JsonSlice {
  const member = members.get(name);
  if (member === undefined) throw new MalformedRequest(`missing value for field "${prefix}${name}"`);
  if (member.kind === kind) return member;
  throw new MalformedRequest(
    `wrong value type for field "${prefix}${name}", got "${PYTHON_TYPES[member.kind]}"`,
  );
}
