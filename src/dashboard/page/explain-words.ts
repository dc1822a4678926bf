import { formatNumber } from './format.js';
import type { ExplainedNode, Explanation } from './shapes.js';

/** Where another job would go. Only one gateway was asked: it cannot say that a job waits which a node of another one may have. */
export function verdictOf({ choice, nodes }: Pick<Explanation, 'choice' | 'nodes'>): string {
  if (choice !== null) return `Another job would go to ${choice.name ?? choice.id}`;
  const elsewhere = nodes.filter(({ eligible }) => eligible === null).length;
  if (elsewhere === 0) return 'Another job would wait';
  return `No node of the gateway that answered would get another job now; other gateways work with ${formatNumber(elsewhere)} more`;
}

/** Whether a node may have the job, or why not. */
export function mayHaveIt({ eligible, reason }: ExplainedNode): string {
  if (eligible === null) return 'another replica decides';
  return eligible ? 'yes' : `no: ${reason ?? 'unknown'}`;
}
