import { z } from 'zod';
import { apiCall, type AnswerOf } from '../http/api-call.js';
import { storableString } from '../http/api-input.js';
import { NODE_ID } from './node-calls.js';

/**
 * The admin API's calls about delegated subscriptions: what they take and what they answer.
 */

const states = ['open', 'accepted', 'refused', 'expired', 'superseded'] as const;

const subscriptionRow = {
  id: z.string(),
  caller: z.string(),
  state: z.enum(states),
  owner: z.string(),
  nonce: z.int().describe('Nodes tell subscriptions apart by owner and nonce.'),
  redundancy: z.int().describe('How many distinct nodes may answer each interval.'),
  form: z.enum(['1.x', '0.x']).describe('`0.x` is the older form, with container ids in plain text.'),
  containers: z.string().describe('The hash of the containers, or their ids.'),
  createdAt: z.date(),
  expiresAt: z.date().describe('When the signature ends.'),
  deadlineAt: z.date().describe('When it is offered no more.'),
  finishedAt: z.date().nullable(),
};

const subscriptionRowSchema = z.object(subscriptionRow).meta({ id: 'SubscriptionRow' });

const offerSchema = z
  .object({
    id: z.string(),
    node: z.object({ id: z.string(), name: z.string().nullable() }),
    state: z.enum(['pending', 'sending', 'accepted', 'refused', 'unreachable', 'lost', 'withdrawn']),
    sends: z.int().describe('How often it was sent.'),
    reason: z.string().nullable(),
    unclearSince: z.date().nullable().describe('Since when the node may have it without having said so.'),
    createdAt: z.date(),
    sentAt: z.date().nullable(),
    retryAt: z.date().nullable().describe('When it may go again, if it may.'),
    finishedAt: z.date().nullable(),
  })
  .meta({ id: 'SubscriptionOffer', description: 'A subscription at one node.' });

const subscriptionSchema = z
  .object({ ...subscriptionRow, offers: z.array(offerSchema) })
  .meta({ id: 'Subscription' });

export type SubscriptionRowView = AnswerOf<typeof subscriptionRowSchema>;
export type SubscriptionView = AnswerOf<typeof subscriptionSchema>;

const ID = '019b0a01-2d4f-7c55-8a10-6f1b52b3c9d5';

const aRow = {
  id: ID,
  caller: '192.0.2.10',
  state: 'accepted',
  owner: '0x8d871ef2826ac9001fb2e33fdd6379b6aabf449c',
  nonce: 3,
  redundancy: 1,
  form: '1.x',
  containers: 'ab5c0b4a0b9ff7b9a0e6b1b1c8d9e3f2a7b6c5d4e3f2019182736455463728191',
  createdAt: '2026-11-28T12:01:00.000Z',
  expiresAt: '2026-11-29T12:00:00.000Z',
  deadlineAt: '2026-11-29T12:00:00.000Z',
  finishedAt: '2026-11-28T12:01:00.012Z',
};

const aSubscription = {
  ...aRow,
  offers: [
    {
      id: '019b0a01-2d50-7c55-8a10-6f1b52b3c9d6',
      node: { id: NODE_ID, name: 'basement' },
      state: 'accepted',
      sends: 1,
      reason: null,
      unclearSince: null,
      createdAt: '2026-11-28T12:01:00.000Z',
      sentAt: '2026-11-28T12:01:00.002Z',
      retryAt: null,
      finishedAt: '2026-11-28T12:01:00.012Z',
    },
  ],
};

const one = (description: string) => ({
  description,
  schema: subscriptionSchema,
  examples: { subscription: aSubscription },
});

const ofOne = {
  chapter: 'Admin: subscriptions',
  params: z.strictObject({ id: z.uuid() }),
  parameterExamples: { id: ID },
} as const;

export const listSubscriptions = apiCall({
  chapter: 'Admin: subscriptions',
  summary: 'Delegated subscriptions, newest first',
  query: z.strictObject({
    status: z.enum(states).optional(),
    node: z.uuid().optional().describe('Id of a node that it was offered to.'),
    owner: storableString.min(1).optional().describe('Address of the owner.'),
    caller: storableString.min(1).optional(),
    cursor: z.uuid().optional().describe('The `cursor` of the page before.'),
    limit: z.coerce.number().int().min(1).max(1_000).default(100),
  }),
  parameterExamples: { status: 'open', limit: 50 },
  answers: {
    200: {
      description: 'A page. `cursor` asks for the next one and is null on the last.',
      schema: z.object({ subscriptions: z.array(subscriptionRowSchema), cursor: z.string().nullable() }),
      examples: { 'the last page': { subscriptions: [aRow], cursor: null } },
    },
  },
  errors: ['DATABASE_UNAVAILABLE'],
});

export const showSubscription = apiCall({
  ...ofOne,
  summary: 'One delegated subscription with its offers to nodes',
  answers: { 200: one('The subscription and its offers, each with its reason.') },
  errors: ['NOT_FOUND', 'DATABASE_UNAVAILABLE'],
});

export const retrySubscription = apiCall({
  ...ofOne,
  summary: 'Offer a delegated subscription anew',
  description:
    'One that was accepted goes to the nodes that have it again: a node that restarted has forgotten it, and for one ' +
    'that has not it changes nothing. Another is offered to all nodes that can serve it.',
  answers: { 200: one('It is open again.') },
  errors: ['NOT_FOUND', 'SUBSCRIPTION_NOT_ENDED', 'DATABASE_UNAVAILABLE'],
});
