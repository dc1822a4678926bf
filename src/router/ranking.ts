/** A node as a place to send a job to. Times in ms. */
export interface Candidate<Node> {
  readonly node: Node;
  /** Unfinished jobs there, those of others included. */
  readonly load: number;
  /** Undefined if nothing is known of such jobs there. */
  readonly serviceMs: number | undefined;
  readonly slots: number | undefined;
  readonly isDoubtful: boolean;
}

/**
 * Soonest expected completion first: service × (1 + jobs beyond the slots / slots). A node of which no service time is
 * known is taken for an average one; doubtful ones come last. Equals come in random order, so that callers who ask
 * at the same time do not all go to the same node.
 * @param random 0 ≤ x < 1
 */
export function ranked<Node>(candidates: readonly Candidate<Node>[], random = Math.random): Node[] {
  const known = candidates.flatMap(({ serviceMs }) => serviceMs ?? []);
  const averageMs = known.length === 0 ? 1 : known.reduce((a, b) => a + b, 0) / known.length;
  const expectedMs = ({ load, serviceMs = averageMs, slots = 1 }: Candidate<Node>): number =>
    serviceMs * (1 + Math.max(0, load + 1 - slots) / slots);
  return candidates
    .map((candidate) => ({
      node: candidate.node,
      isDoubtful: candidate.isDoubtful,
      expectedMs: expectedMs(candidate),
      lot: random(),
    }))
    .sort(
      (a, b) => Number(a.isDoubtful) - Number(b.isDoubtful) || a.expectedMs - b.expectedMs || a.lot - b.lot,
    )
    .map(({ node }) => node);
}
