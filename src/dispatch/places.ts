import type { Attempt } from './attempt-store.js';
import type { Ending } from './policy/pair.js';
import type { Decision, JobNeeds } from './policy/placement.js';

/** A node that was chosen, under the lease by which it may be worked with. */
export interface Spot {
  readonly nodeId: string;
  readonly fence: number;
  readonly decision: Decision;
}

/**
 * A place on a node for one job, counted there from when it was given until it is left. Whoever holds it tells what
 * becomes of the job, so that the policy learns from it as from any other.
 */
export interface Place extends Spot {
  /** The node took the job. */
  accepted(): void;
  /** The job gives output: it is in service. */
  started(): void;
  /**
   * The place is free again. Only the first call counts.
   * @param fault whether the node is to blame
   */
  leave(ending: Ending, fault?: boolean): void;
  /** Somebody else follows the job from here on; it stays counted. */
  handOver(): void;
}

/** What places need of the scheduler. */
export interface PlaceGuide {
  accepted(attempt: Attempt, containers: readonly string[]): void;
  started(attempt: Attempt, containers: readonly string[]): void;
  notAccepted(attempt: Attempt, containers: readonly string[], fault: boolean): void;
  ended(
    job: { readonly attempt: Attempt; readonly containers: readonly string[] },
    ending: Ending,
    unseenMs: number,
    overtook: number,
  ): void;
  faulted(nodeId: string): void;
}

/** The places that are given away, and those who wait for one. */
export class Reservations {
  private readonly waiting = new Map<string, (place: Place | undefined) => void>();
  private readonly taken = new Set<string>();

  constructor(private readonly guide: PlaceGuide) {}

  /** Whether this job holds a place. */
  has(jobId: string): boolean {
    return this.taken.has(jobId);
  }

  /** Whether somebody waits for a place for this job. */
  awaits(jobId: string): boolean {
    return this.waiting.has(jobId);
  }

  /** Gives a place away that is counted for the job already. */
  take({ id, containers }: JobNeeds, spot: Spot): Place {
    const { guide, taken } = this;
    const attempt: Attempt = { ...spot, id, jobId: id, number: 0 };
    let isAccepted = false;
    let isLeft = false;
    const leaves = (): boolean => {
      if (isLeft) return false;
      isLeft = true;
      taken.delete(id);
      return true;
    };
    taken.add(id);
    return {
      ...spot,
      accepted: () => {
        if (!isAccepted && !isLeft) guide.accepted(attempt, containers);
        isAccepted = true;
      },
      started: () => {
        if (!isLeft) guide.started(attempt, containers);
      },
      leave: (ending, fault = false) => {
        if (!leaves()) return;
        if (!isAccepted) return guide.notAccepted(attempt, containers, fault);
        // What gave no output shows nothing of earlier jobs either: they may have ended without having been seen to.
        guide.ended({ attempt, containers }, ending, 0, 0);
        if (fault) guide.faulted(spot.nodeId);
      },
      handOver: () => void leaves(),
    };
  }

  /** Resolves with a place once `fulfil` has one; with none when the signal aborts. */
  async wait({ id }: JobNeeds, signal: AbortSignal): Promise<Place | undefined> {
    return new Promise((resolve) => {
      const settle = (place: Place | undefined): void => {
        this.waiting.delete(id);
        signal.removeEventListener('abort', giveUp);
        resolve(place);
      };
      const giveUp = (): void => settle(undefined);
      this.waiting.set(id, settle);
      if (signal.aborted) giveUp();
      else signal.addEventListener('abort', giveUp);
    });
  }

  /** There is a place for a job that waits for one; it is counted for the job already. */
  fulfil(job: JobNeeds, spot: Spot): void {
    this.waiting.get(job.id)?.(this.take(job, spot));
  }

  /** Nobody gets a place any more. */
  stop(): void {
    for (const settle of this.waiting.values()) settle(undefined);
  }
}
