/** Which hosts answer worse than the others: by their distance from the mean, or by a fixed part of failures. */

export interface RatedHost<Host> {
  readonly host: Host;
  /** Requests in the last interval. */
  readonly volume: number;
  /** Percent. */
  readonly rate: number;
}

/** Those below the mean by more than `factor` standard deviations. */
export function findBelowMean<Host>(rated: readonly RatedHost<Host>[], factor: number): readonly Host[] {
  if (rated.length === 0) return [];
  const mean = rated.reduce((sum, { rate }) => sum + rate, 0) / rated.length;
  const variance = rated.reduce((sum, { rate }) => sum + (rate - mean) ** 2, 0) / rated.length;
  const threshold = mean - factor * Math.sqrt(variance);
  return rated.flatMap(({ host, rate }) => (rate < threshold ? [host] : []));
}

/** Those that fail at least `threshold` percent. */
export function findFailing<Host>(rated: readonly RatedHost<Host>[], threshold: number): readonly Host[] {
  return rated.flatMap(({ host, rate }) => (100 - rate >= threshold ? [host] : []));
}
