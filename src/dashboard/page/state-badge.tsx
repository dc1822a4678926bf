import type { JobState } from './shapes.js';

const TONES: Readonly<Record<JobState, string>> = {
  queued: 'muted',
  sending: 'accent',
  running: 'accent',
  retrying: 'warn',
  succeeded: 'ok',
  failed: 'bad',
  cancelled: 'muted',
};

/** The state of a job, in colour and in words. */
export function StateBadge({ state }: { readonly state: JobState }) {
  return (
    <span class={`status ${TONES[state]}`}>
      <span class="dot" aria-hidden="true" />
      {state}
    </span>
  );
}
