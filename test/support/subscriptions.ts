import type { TestGateway } from './gateway.js';
import { json } from './http.js';
import { waitUntil } from './wait.js';

/** A subscription as `GET /admin/subscriptions/{id}` shows it. */
export interface SubscriptionView {
  readonly id: string;
  readonly state: string;
  readonly owner: string;
  readonly nonce: number;
  readonly offers: readonly {
    readonly node: { readonly id: string; readonly name: string | null };
    readonly state: string;
    readonly sends: number;
    readonly reason: string | null;
  }[];
}

/** Every subscription that operators see, newest first, with its offers. */
export async function subscriptionViews(gateway: TestGateway): Promise<SubscriptionView[]> {
  const page = json<{ subscriptions: { id: string }[] }>(await gateway.admin('GET', '/subscriptions'));
  return Promise.all(
    page.subscriptions.map(async ({ id }) =>
      json<SubscriptionView>(await gateway.admin('GET', `/subscriptions/${id}`)),
    ),
  );
}

/** Waits until the newest subscription is as described. */
export async function whenSubscription(
  gateway: TestGateway,
  what: string,
  condition: (view: SubscriptionView) => boolean,
  withinMs = 20_000,
): Promise<SubscriptionView> {
  return waitUntil(
    `the subscription: ${what}`,
    async () => {
      const [view] = await subscriptionViews(gateway);
      return view !== undefined && condition(view) ? view : undefined;
    },
    { withinMs, everyMs: 50 },
  );
}
