/**
 * The life of a job. Each state has exactly one owner, the only one who moves a job out of it:
 *
 * - `queued`: committed, waiting in order of arrival; no node yet. Owner: the dispatcher, on events (an arrival,
 *   a free place, a node that came up). Leaves to `sending` when the policy chose a node and the attempt is committed.
 * - `sending`: an attempt is committed with its node and node-side id; the request may be out. Owner: the attempt
 *   loop of the process that sends, until the node has answered or the answer is overdue; then the collector of that
 *   node, which asks whether the job is there. After the death of the process, the next one that leases the node asks.
 *   Leaves to `running` (accepted, or found there), to `sending` with another attempt (next node), back to `queued` (no
 *   node left, or not found there), to `failed` (every node refused it), or is withdrawn (refused before anybody was
 *   told its id). A job that ends in a moment goes on to its end from here; src/jobs/acceptances.repository.ts.
 * - `running`: the node accepted it. Owner: the collector of that node. Leaves to `succeeded` or `failed` by the
 *   node's word, to `retrying` when the node has lost it or could not use its container, or back to `queued` when the
 *   node stands still: its attempt stays open then, and the first result of all counts, whatever state the job is in.
 * - `retrying`: an attempt failed in a way that another may not; it goes again at a set time. Owner: the delayed message
 *   in the queue, which puts it back to `queued`, at its old place.
 * - `succeeded`, `failed`, `cancelled`: terminal. The result was committed with the state and never changes.
 *
 * Streams have no `queued` and no `retrying`: they are committed as `sending` once they have a node, and the relay that
 * passes them on owns them until they end (src/streams/stream-run.ts). If the relay dies, the collector of the node finds
 * out how they ended; nobody runs them again.
 *
 * Two may act on any state that is not terminal, whoever owns it: an operator who cancels, and the sweep, which fails
 * what is past its deadline while it waits and re-queues what no attempt is open for, or fails it if it is a stream.
 *
 * A node knows nothing of this: on the wire all but the terminal states are `running`, and `cancelled` is `failed`
 * with an error that says so.
 *
 * The rule that makes it safe: job and attempt are committed before anything is sent, and results are committed
 * under the condition that the job is not terminal. So whoever comes second changes nothing.
 */
export type JobState = 'queued' | 'sending' | 'running' | 'retrying' | 'succeeded' | 'failed' | 'cancelled';

/** A job's status as the node API words it; docs/protocol.md §1. */
export function wireStatus(state: JobState): 'running' | 'success' | 'failed' {
  switch (state) {
    case 'succeeded':
      return 'success';
    case 'failed':
    case 'cancelled':
      return 'failed';
    case 'queued':
    case 'sending':
    case 'running':
    case 'retrying':
      return 'running';
  }
}

/** The result of a job that the gateway itself ended, in the shape that a node gives to a failure. */
export function failureResult(containers: readonly string[], error: string): Buffer {
  return Buffer.from(JSON.stringify({ container: containers[0] ?? '', error }));
}
