/** The middle one of some numbers; of two in the middle the larger. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The number that a share of the others lies below. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number;
}

/** To a thousandth. */
export function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

/** The sum of some numbers divided by how many they are. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
