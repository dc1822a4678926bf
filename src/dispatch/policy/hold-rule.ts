/**
 * When a job is better off waiting. A job that a slow node could start now may still end sooner on a fast node
 * whose slots are all busy. The rule compares its expected service on the node that could start it with what
 * waiting promises: `waiting` jobs, this one last, leave the queue as fast as the faster nodes finish jobs, and then
 * it is served there. Waiting has to win clearly, by `HOLD_FACTOR`, because it bets on estimates; the longer the
 * queue, the slower the nodes that are drawn in, so no capacity is left idle under load. For identical servers
 * nothing is ever held; with unequal ones this is the threshold policy of the slow-server problem (Lin and Kumar,
 * 1984), read for many servers.
 */

/** Below 2 queues grow for nothing, above 3 short queues spill onto slow nodes and p99 suffers (npm run bench). */
export const HOLD_FACTOR = 2.2;

/**
 * @param serviceMs expected completion on the best node that could start the job now
 * @param waiting jobs that wait, this one included
 * @param fasterSlots slots of the nodes that are faster
 * @param fasterRate jobs that those finish in a ms when all their slots are busy
 */
export function worthHolding(
  serviceMs: number,
  waiting: number,
  fasterSlots: number,
  fasterRate: number,
): boolean {
  return fasterRate > 0 && HOLD_FACTOR * ((waiting + fasterSlots) / fasterRate) < serviceMs;
}
