/** Between two attempts where nothing ends, in service times. */
const STALL_PAUSE = { first: 4, longest: 128 };
/** Between two where all that are there give output, in ms. They cost little: one stream waits there instead of here. */
const OUTPUT_PAUSE_MS = 2_000;

/** How a full window looks while jobs wait for it. */
export interface FullWindow {
  /** All jobs in it give output, so none waits on the node. */
  readonly allShown: boolean;
  /** Since when nothing has ended there, in ms. */
  readonly quietMs: number;
  readonly serviceMs: number;
}

/**
 * Finds slots that nothing else would show. On a full node nothing has ended for longer than a job usually takes, or all
 * that are there give output: they may fill its slots, or it has slots that it could not show so far, as jobs of one size
 * do not overtake each other. One job more finds out. Where nothing ends, the next attempt is further away each time.
 */
export class RoomProbe {
  /** Jobs more than the window otherwise allows. */
  extra = 0;
  private pause = STALL_PAUSE.first;
  private stallAtMs = 0;
  private outputAtMs = 0;

  /** @returns whether one more is allowed now */
  consider({ allShown, quietMs, serviceMs }: FullWindow, nowMs: number): boolean {
    if (allShown) {
      if (nowMs < this.outputAtMs) return false;
      this.outputAtMs = nowMs + OUTPUT_PAUSE_MS;
    } else {
      if (nowMs < this.stallAtMs || quietMs < 2 * serviceMs) return false;
      this.pause = Math.min(STALL_PAUSE.longest, this.pause * 2);
      this.stallAtMs = nowMs + this.pause * serviceMs;
    }
    this.extra = 1;
    return true;
  }

  /** A job was sent: if it was the one more, that is on its way. */
  sent(): void {
    this.extra = 0;
  }

  /** There were more slots. */
  found(): void {
    this.pause = STALL_PAUSE.first;
  }
}
