/** Names of the queues: {@link RetryPayload} travels in `retries`, the duties below in `duties`. */
export const QUEUES = { retries: 'retries', duties: 'duties' } as const;

/** Sent, delayed, for each job that waits for its next attempt, and for subscriptions that are to be looked at again. */
export type RetryPayload = { jobId: string } | { subscriptionId: string };

/** The periodic duties: the name of a message of the `duties` queue, and of the scheduler that sends it. */
export type Duty = 'sweep' | 'retention';
