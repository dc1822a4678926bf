import type { SubscribedContainers } from '../protocol/delegated-request.js';

/**
 * The life of a delegated subscription. The gateway sees to it that nodes have it; what they answer goes to the chain,
 * so nothing is collected.
 *
 * - `open`: committed. It has a place for each of the `redundancy` nodes that may serve it; places that are not taken
 *   yet are offered to nodes, one offer for each node. Leaves to `accepted` when as many nodes have accepted it, or
 *   when at least one has and no other could ever; to `refused` when every node that could have it has refused; to
 *   `expired` at the end of the signature or of JOB_DEADLINE.
 * - `accepted`, `refused`, `expired`: over. The same request handed in again opens an `accepted` one anew after a
 *   while (a node that restarted has forgotten it), and starts a new one in place of the two others.
 * - `superseded`: over. The same caller has handed in another version, with the same owner and nonce.
 *
 * An offer takes a place while it is `pending`, `sending` or `accepted`:
 *
 * - `pending`: to be sent by the replica that leases the node, when its time has come.
 * - `sending`: claimed under that lease; the request may be out. Leaves by the node's answer: to `accepted`; to
 *   `refused` (a 4xx or a JSON 5xx: this node will not take it); to `unreachable` (it did not get through, or the
 *   node's rate budget is spent); back to `pending` when there was no answer, since the node may have it: nodes tell
 *   subscriptions apart by owner and nonce, so sending it to the *same* node again does no harm, to another one it might.
 *   A later holder of the lease treats an offer that its predecessor left `sending` in the same way.
 * - `lost`: as an unanswered `pending`, but the node has said nothing for NO_ANSWER_MS.
 * - `accepted`, `refused`, `withdrawn` (the subscription ended first): over.
 *
 * `unreachable` and `lost` free the place: a node that was not asked yet comes first, then the same node again. An
 * offer that was accepted is never sent again by the gateway's own doing.
 *
 * Owners: whoever holds a row lock on the subscription gives places away (`OffersRepository.place`), on events: an
 * admission, an answer, a node that came up, a delayed message, the sweep. The replica with the node's lease sends.
 */
export type SubscriptionState = 'open' | 'accepted' | 'refused' | 'expired' | 'superseded';

/** See {@link SubscriptionState}. */
export type OfferState =
  'pending' | 'sending' | 'accepted' | 'refused' | 'unreachable' | 'lost' | 'withdrawn';

/** How the containers of a subscription are stored: the hash, or the ids separated by commas. */
export function containersText(containers: SubscribedContainers): string {
  return containers.form === '1.x' ? containers.hash : containers.ids.join(',');
}

/** What {@link containersText} made of it. */
export function containersFrom(form: string, text: string): SubscribedContainers {
  return form === '1.x' ? { form, hash: text } : { form: '0.x', ids: text.split(',') };
}
