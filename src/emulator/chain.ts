import type { Container } from './containers.js';
import type { DelegatedRequest } from './delegated-request.js';
import type { Refusal } from './admission.js';
import { hashOfContainers, signerOf, type Coordinator } from './typed-data.js';

/** How the chain of an emulated node is set up. */
export interface ChainSetup {
  /** Address of the node's wallet, as `/info` shows it. */
  readonly address: string;
  readonly coordinator: Coordinator;
  /** By owner in lower case, who may sign for it; the chain would know. An owner that is not listed accepts any signer. */
  readonly signers: Readonly<Record<string, string>>;
  /** Owners that may use a container, by container id; absent: everyone. */
  readonly allowedOwners: Readonly<Record<string, readonly string[]>>;
}

/** A delegated subscription that the node was sent and did not refuse. */
export interface Subscribed {
  readonly owner: string;
  readonly nonce: number;
  readonly containers: readonly string[];
  /** Who signed it, in lower case; null when that cannot be told. */
  readonly signer: string | null;
  /** Whether the node works on it: it does when the signer may sign for the owner. It was answered alike. */
  readonly tracked: boolean;
  /** How often it was sent. */
  readonly times: number;
}

/** What the node does with a delegated subscription: drop it with an error of its own making, refuse it, or take it. */
export type ChainVerdict =
  | { readonly kind: 'broken'; readonly text: string }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'taken' };

/** A refusal that holds the message itself, which the node then fails to write as JSON. */
export const NOT_SERIALIZABLE = 'Object of type MessageType is not JSON serializable';
const ZERO_ADDRESS = /^0x0{40}$/i;
/** Longer chains of containers are not looked up. */
const LONGEST_SELECTION = 3;

/**
 * The node's dealings with a chain: which containers a hash means, and the subscriptions that it works on, by owner and
 * nonce. They are in memory only, as in the reference node; a restart forgets them.
 */
export class Chain {
  readonly #subscriptions = new Map<string, Subscribed>();
  readonly #idsByHash = new Map<string, readonly string[]>();

  constructor(
    /** Undefined: the node has no chain. */
    readonly setup: ChainSetup | undefined,
    readonly containers: ReadonlyMap<string, Container>,
  ) {
    if (setup === undefined) return;
    for (const ids of selections([...containers.keys()])) this.#idsByHash.set(hashOfContainers(ids), ids);
  }

  /** Of the node's wallet; undefined without a chain. */
  get address(): string | undefined {
    return this.setup?.address;
  }

  /** Every delegated subscription taken since the start, a later one of the same owner and nonce in the earlier one's place. */
  get subscriptions(): readonly Subscribed[] {
    return [...this.#subscriptions.values()];
  }

  /** The node's checks, in its order; what passes is taken. */
  subscribe(request: DelegatedRequest, nowMs: number): ChainVerdict {
    const { setup } = this;
    const { signature, subscription } = request;
    if (setup === undefined || signature.expiry < BigInt(Math.floor(nowMs / 1_000))) {
      return { kind: 'broken', text: NOT_SERIALIZABLE };
    }
    const ids = this.#containersOf(subscription);
    if (ids === undefined) return { kind: 'broken', text: 'list index out of range' };
    const refusal = this.#refusal(subscription, ids, setup);
    if (refusal !== undefined) return { kind: 'refused', refusal };
    this.#take(request, ids, setup);
    return { kind: 'taken' };
  }

  #containersOf(subscription: DelegatedRequest['subscription']): readonly string[] | undefined {
    if ('containerId' in subscription) return subscription.containerId.split(',');
    return this.#idsByHash.get(subscription.containers.replace(/^0x/, '').toLowerCase());
  }

  #refusal(
    subscription: DelegatedRequest['subscription'],
    ids: readonly string[],
    { allowedOwners }: ChainSetup,
  ): Refusal | undefined {
    const [first = ''] = ids;
    const last = ids.at(-1) ?? '';
    const { owner } = subscription;
    const unsupported = ids.find((id) => !this.containers.has(id));
    if (unsupported !== undefined) {
      return { error: 'Container not supported', params: { container: unsupported } };
    }
    if (this.containers.get(first)?.external !== true) {
      return { error: 'First container must be external', params: { first_container: first } };
    }
    const needsProof = 'verifier' in subscription && !ZERO_ADDRESS.test(subscription.verifier);
    if (needsProof && this.containers.get(last)?.generatesProof !== true) {
      return { error: 'Container does not generate proof', params: { container: last } };
    }
    const isClosed = (id: string): boolean =>
      allowedOwners[id]?.every((allowed) => allowed.toLowerCase() !== owner.toLowerCase()) === true;
    const closed = ids.find(isClosed);
    if (closed === undefined) return undefined;
    return { error: 'Container not allowed for address', params: { address: owner, container: closed } };
  }

  /** The signature is looked at only now, and nobody is told what came of it. */
  #take(
    request: DelegatedRequest,
    containers: readonly string[],
    { coordinator, signers }: ChainSetup,
  ): void {
    const owner = request.subscription.owner.toLowerCase();
    const nonce = Number(request.signature.nonce);
    const signer = signerOf(request, coordinator) ?? null;
    const expected = signers[owner]?.toLowerCase();
    const tracked = signer !== null && (expected === undefined || expected === signer);
    const key = `${owner}-${nonce}`;
    const times = (this.#subscriptions.get(key)?.times ?? 0) + 1;
    this.#subscriptions.set(key, { owner, nonce, containers, signer, tracked, times });
  }
}

/** Every ordered selection of up to so many of the ids. */
function selections(ids: readonly string[]): string[][] {
  let longest: string[][] = [[]];
  const all: string[][] = [];
  for (let length = 1; length <= LONGEST_SELECTION; length += 1) {
    longest = longest.flatMap((chosen) =>
      ids.filter((id) => !chosen.includes(id)).map((id) => [...chosen, id]),
    );
    all.push(...longest);
  }
  return all;
}
