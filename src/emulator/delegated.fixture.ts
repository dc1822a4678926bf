import { encodeAbiParameters, keccak256, type Hex } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { COORDINATOR } from './options.js';

/** What a test says of a subscription; all else has a value that works. */
export interface SubscriptionWishes {
  readonly containers?: readonly string[];
  readonly owner?: Hex;
  readonly nonce?: number;
  /** In seconds since 1970; default in an hour. */
  readonly expiry?: number;
  readonly redundancy?: number;
  readonly paymentAmount?: bigint;
  readonly verifier?: Hex;
  /** Whether the hash is written with `0x` in front. */
  readonly prefixed?: boolean;
  readonly data?: string;
}

export const OWNER = '0x8D871Ef2826ac9001fB2e33fDD6379b6aaBF449c';
export const ZERO_ADDRESS: Hex = `0x${'0'.repeat(40)}`;
/** Whoever signs in tests. */
export const SIGNER = privateKeyToAccount(`0x${'5de41'.repeat(12)}1234`);

const COMMON_TYPES = [
  { name: 'owner', type: 'address' },
  { name: 'activeAt', type: 'uint32' },
  { name: 'period', type: 'uint32' },
  { name: 'frequency', type: 'uint32' },
  { name: 'redundancy', type: 'uint16' },
] as const;

const domain = {
  name: 'InfernetCoordinator',
  version: '1',
  chainId: 31_337,
  verifyingContract: COORDINATOR,
} as const;

const DELEGATE_TYPE = [
  { name: 'nonce', type: 'uint32' },
  { name: 'expiry', type: 'uint32' },
  { name: 'sub', type: 'Subscription' },
] as const;

/** A delegated subscription as the official client writes it, with a signature that viem made. */
export async function delegatedBody(wishes: SubscriptionWishes = {}): Promise<string> {
  const terms = termsOf(wishes);
  const { verifier = ZERO_ADDRESS, paymentAmount = 2n ** 70n + 1n, prefixed = true } = wishes;
  const hash = keccak256(encodeAbiParameters([{ type: 'string' }], [terms.containers.join(',')]));
  const signature = await SIGNER.signTypedData({
    domain,
    primaryType: 'DelegateSubscription',
    types: {
      DelegateSubscription: DELEGATE_TYPE,
      Subscription: [
        ...COMMON_TYPES,
        { name: 'containerId', type: 'bytes32' },
        { name: 'lazy', type: 'bool' },
        { name: 'verifier', type: 'address' },
        { name: 'paymentAmount', type: 'uint256' },
        { name: 'paymentToken', type: 'address' },
        { name: 'wallet', type: 'address' },
      ],
    },
    message: {
      nonce: terms.nonce,
      expiry: terms.expiry,
      sub: {
        ...terms.common,
        containerId: hash,
        lazy: false,
        verifier,
        paymentAmount,
        paymentToken: ZERO_ADDRESS,
        wallet: OWNER,
      },
    },
  });
  const rest =
    `"containers":"${prefixed ? hash : hash.slice(2)}","lazy":false,"verifier":"${verifier}",` +
    `"payment_amount":${paymentAmount},"payment_token":"${ZERO_ADDRESS}","wallet":"${OWNER}"`;
  return bodyOf(terms, signature, rest);
}

/** The same in the form that nodes 0.x take. */
export async function oldDelegatedBody(wishes: SubscriptionWishes = {}): Promise<string> {
  const terms = termsOf(wishes);
  const containerId = terms.containers.join(',');
  const signature = await SIGNER.signTypedData({
    domain,
    primaryType: 'DelegateSubscription',
    types: {
      DelegateSubscription: DELEGATE_TYPE,
      Subscription: [
        ...COMMON_TYPES,
        { name: 'maxGasPrice', type: 'uint48' },
        { name: 'maxGasLimit', type: 'uint32' },
        { name: 'containerId', type: 'string' },
        { name: 'inputs', type: 'bytes' },
      ],
    },
    message: {
      nonce: terms.nonce,
      expiry: terms.expiry,
      sub: {
        ...terms.common,
        maxGasPrice: 1_000_000_000_000,
        maxGasLimit: 3_000_000,
        containerId,
        inputs: `0x${Buffer.from('hello').toString('hex')}`,
      },
    },
  });
  const rest = `"max_gas_price":1000000000000,"max_gas_limit":3000000,"container_id":"${containerId}","inputs":"hello"`;
  return bodyOf(terms, signature, rest);
}

function termsOf({
  containers = ['echo'],
  owner = OWNER,
  nonce = 0,
  expiry,
  redundancy = 1,
  data = '{"n":1.0}',
}: SubscriptionWishes) {
  return {
    containers,
    nonce,
    expiry: expiry ?? Math.floor(Date.now() / 1_000) + 3_600,
    data,
    common: { owner, activeAt: 1_700_000_000, period: 0, frequency: 1, redundancy },
  };
}

/** Integers are written out: r, s and amounts exceed what a JavaScript number holds. */
function bodyOf(terms: ReturnType<typeof termsOf>, signature: Hex, rest: string): string {
  const [r, s, v] = [signature.slice(2, 66), signature.slice(66, 130), signature.slice(130)];
  const { owner, activeAt, period, frequency, redundancy } = terms.common;
  return (
    `{"signature":{"nonce":${terms.nonce},"expiry":${terms.expiry},"v":${BigInt(`0x${v}`)},` +
    `"r":${BigInt(`0x${r}`)},"s":${BigInt(`0x${s}`)}},` +
    `"subscription":{"owner":"${owner}","active_at":${activeAt},"period":${period},` +
    `"frequency":${frequency},"redundancy":${redundancy},${rest}},"data":${terms.data}}`
  );
}
