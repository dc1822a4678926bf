import type { StoredSubscription, SubscriptionRecord } from '../subscriptions/records.repository.js';
import type { SubscriptionRowView, SubscriptionView } from './subscription-calls.js';

/** A subscription as a list shows it. */
export function subscriptionRow({ nonce, form, ...row }: StoredSubscription): SubscriptionRowView {
  return { ...row, nonce: Number(nonce), form: form as SubscriptionRowView['form'] };
}

/** A subscription with its offers. */
export function subscriptionView({ subscription, offers, nodeNames }: SubscriptionRecord): SubscriptionView {
  return {
    ...subscriptionRow(subscription),
    offers: offers.map(({ id, nodeId, state, sends, reason, unclearSince, ...offer }) => ({
      id,
      node: { id: nodeId, name: nodeNames.get(nodeId) ?? null },
      state,
      sends,
      reason,
      unclearSince,
      createdAt: offer.createdAt,
      sentAt: offer.sentAt,
      retryAt: ['pending', 'unreachable', 'lost'].includes(state) ? offer.retryAt : null,
      finishedAt: offer.finishedAt,
    })),
  };
}
