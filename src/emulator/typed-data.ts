import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 as keccak256 } from '@noble/hashes/sha3.js';
import type { DelegatedRequest } from './delegated-request.js';

/** The contract that subscriptions are signed for. */
export interface Coordinator {
  readonly chainId: number;
  readonly address: string;
}

/** A member of a struct of EIP-712: its Solidity type, name and value; a string holds hexadecimal, but for `string`. */
type Member = readonly [type: string, name: string, value: string | number | bigint | boolean];

const EIP712_PREFIX = Buffer.from([0x19, 0x01]);
const WORD_BYTES = 32;

/**
 * Who signed a delegated subscription for this coordinator (docs/protocol.md §5).
 * @returns the address in lower case; undefined when the signature is none at all
 */
export function signerOf(request: DelegatedRequest, coordinator: Coordinator): string | undefined {
  const { v, r, s } = request.signature;
  try {
    const signature = new secp256k1.Signature(r, s, v >= 27 ? v - 27 : v);
    const key = signature.recoverPublicKey(digestOf(request, coordinator)).toBytes(false);
    return `0x${keccak(key.subarray(1)).subarray(-20).toString('hex')}`;
  } catch {
    return undefined;
  }
}

/** `keccak256(abi.encode("a,b"))`, by which a subscription names containers; 64 hexadecimal digits. */
export function hashOfContainers(ids: readonly string[]): string {
  const text = Buffer.from(ids.join(','));
  const padding = Buffer.alloc((WORD_BYTES - (text.length % WORD_BYTES)) % WORD_BYTES);
  return keccak(Buffer.concat([word(WORD_BYTES), word(text.length), text, padding])).toString('hex');
}

/** What is signed: EIP-712 with the domain and types of the official client. */
export function digestOf(
  { signature: { nonce, expiry }, subscription }: DelegatedRequest,
  { chainId, address }: Coordinator,
): Buffer {
  const domain = structHash('EIP712Domain', [
    ['string', 'name', 'InfernetCoordinator'],
    ['string', 'version', '1'],
    ['uint256', 'chainId', chainId],
    ['address', 'verifyingContract', address],
  ]);
  const { owner, activeAt, period, frequency, redundancy } = subscription;
  const common: Member[] = [
    ['address', 'owner', owner],
    ['uint32', 'activeAt', activeAt],
    ['uint32', 'period', period],
    ['uint32', 'frequency', frequency],
    ['uint16', 'redundancy', redundancy],
  ];
  const rest: Member[] =
    'containerId' in subscription
      ? [
          ['uint48', 'maxGasPrice', subscription.maxGasPrice],
          ['uint32', 'maxGasLimit', subscription.maxGasLimit],
          ['string', 'containerId', subscription.containerId],
          ['bytes', 'inputs', Buffer.from(subscription.inputs).toString('hex')],
        ]
      : [
          ['bytes32', 'containerId', subscription.containers],
          ['bool', 'lazy', subscription.lazy],
          ['address', 'verifier', subscription.verifier],
          ['uint256', 'paymentAmount', subscription.paymentAmount],
          ['address', 'paymentToken', subscription.paymentToken],
          ['address', 'wallet', subscription.wallet],
        ];
  const members = [...common, ...rest];
  const message = structHash(
    'DelegateSubscription',
    [
      ['uint32', 'nonce', nonce],
      ['uint32', 'expiry', expiry],
      ['Subscription', 'sub', structHash('Subscription', members).toString('hex')],
    ],
    typeText('Subscription', members),
  );
  return keccak(Buffer.concat([EIP712_PREFIX, domain, message]));
}

/** @param referenced the types of other structs that this one holds */
function structHash(name: string, members: readonly Member[], referenced = ''): Buffer {
  const type = keccak(Buffer.from(typeText(name, members) + referenced));
  return keccak(Buffer.concat([type, ...members.map(([kind, , value]) => encoded(kind, value))]));
}

function typeText(name: string, members: readonly Member[]): string {
  return `${name}(${members.map(([type, member]) => `${type} ${member}`).join(',')})`;
}

function encoded(type: string, value: Member[2]): Buffer {
  if (typeof value !== 'string') return word(value);
  if (type === 'string') return keccak(Buffer.from(value));
  const bytes = Buffer.from(value.replace(/^0x/, ''), 'hex');
  return type === 'bytes' ? keccak(bytes) : word(BigInt(`0x${bytes.toString('hex') || '0'}`));
}

function word(value: number | bigint | boolean): Buffer {
  return Buffer.from(
    BigInt(value)
      .toString(16)
      .padStart(2 * WORD_BYTES, '0'),
    'hex',
  );
}

function keccak(bytes: Uint8Array): Buffer {
  return Buffer.from(keccak256(bytes));
}
