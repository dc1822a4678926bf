/**
 * Durations, counted in bins whose bounds grow by the same factor: a quantile is off by half a bin at most, 4.5 %, whatever
 * its size, and the counts of two spans of time add up to that of both, which quantiles do not. The idea is that of
 * HdrHistogram and DDSketch.
 */

/** The bounds of neighbouring bins differ by this factor: eight bins double. */
const GROWTH = 2 ** (1 / 8);

/** Bins for each natural logarithm: a duration of `ms`, at least 1, is in bin `round(ln(ms) * BINS_PER_E)`. */
export const BINS_PER_E = 1 / Math.log(GROWTH);

export class Durations {
  private readonly counts = new Map<number, number>();
  private total = 0;

  /** How many there are. */
  get count(): number {
    return this.total;
  }

  /** Counts `count` more durations of a bin. */
  add(bin: number, count: number): void {
    this.counts.set(bin, (this.counts.get(bin) ?? 0) + count);
    this.total += count;
  }

  /** Takes in what another one has counted. */
  merge(other: Durations): void {
    for (const [bin, count] of other.counts) this.add(bin, count);
  }

  /**
   * The duration in ms that the given share of all does not exceed; null when there are none.
   * @param share 0 to 1; 0.5 gives the median
   */
  quantileMs(share: number): number | null {
    let left = Math.max(1, Math.ceil(share * this.total));
    for (const bin of [...this.counts.keys()].sort((a, b) => a - b)) {
      left -= this.counts.get(bin) ?? 0;
      if (left <= 0) return Math.round(GROWTH ** bin);
    }
    return null;
  }
}
