/**
 * Counts of values in bins of two significant digits, as Envoy's histograms have them: small, exact enough for quantiles,
 * and cheap to record into.
 */
export interface BinnedValues {
  readonly bins: Map<number, number>;
  count: number;
  sum: number;
}

export function createBinnedValues(): BinnedValues {
  return { bins: new Map(), count: 0, sum: 0 };
}

/** Exponents of ten are shifted by this, so that the order of keys is the order of values. */
const exponentShift = 20;

export function recordValue(into: BinnedValues, value: number): void {
  const key = findBin(value);
  into.bins.set(key, (into.bins.get(key) ?? 0) + 1);
  into.count++;
  into.sum += value;
}

export function addValues(into: BinnedValues, from: BinnedValues): void {
  for (const [key, count] of from.bins) into.bins.set(key, (into.bins.get(key) ?? 0) + count);
  into.count += from.count;
  into.sum += from.sum;
}

/** 0 for nothing; else the exponent and the two leading digits of the bin's lower bound. */
function findBin(value: number): number {
  if (!(value > 0)) return 0;
  if (value >= 10 && value < 100) return (1 + exponentShift) * 100 + Math.trunc(value);
  if (value < 10 && Number.isInteger(value)) return exponentShift * 100 + value * 10;
  const exponent = Math.min(Math.max(Math.floor(Math.log10(value)), 1 - exponentShift), 60);
  const digits = Math.trunc(value / 10 ** (exponent - 1));
  return (exponent + exponentShift) * 100 + Math.min(Math.max(digits, 10), 99);
}

function boundsOf(key: number): { readonly low: number; readonly width: number } {
  if (key === 0) return { low: 0, width: 0 };
  const exponent = Math.trunc(key / 100) - exponentShift;
  // Division where the power is negative, because 10 ** -1 is not a number that doubles have.
  const scale = (digits: number): number =>
    exponent >= 1 ? digits * 10 ** (exponent - 1) : digits / 10 ** (1 - exponent);
  return { low: scale(key % 100), width: scale(1) };
}

function sortBins(values: BinnedValues): readonly (readonly [key: number, count: number])[] {
  return [...values.bins].sort(([left], [right]) => left - right);
}

/** Numbers of values at most each bound; a bin counts where its lower bound is not above it. */
export function countBelow(values: BinnedValues, bounds: readonly number[]): readonly number[] {
  const bins = sortBins(values);
  let next = 0;
  let total = 0;
  return bounds.map((bound) => {
    for (let bin = bins[next]; bin !== undefined && boundsOf(bin[0]).low <= bound; bin = bins[next]) {
      total += bin[1];
      next++;
    }
    return total;
  });
}

/** Values at parts (0 to 1, ascending) of all: that of the nearest rank, spread evenly over its bin. NaN where there is none. */
export function findQuantiles(values: BinnedValues, parts: readonly number[]): readonly number[] {
  const bins = sortBins(values);
  let next = 0;
  let below = 0;
  return parts.map((part) => {
    const rank = Math.max(1, Math.ceil(part * values.count));
    for (let bin = bins[next]; bin !== undefined && below + bin[1] < rank; bin = bins[next]) {
      below += bin[1];
      next++;
    }
    const bin = bins[next];
    if (bin === undefined) return Number.NaN;
    const { low, width } = boundsOf(bin[0]);
    return low + (width * (rank - below)) / (bin[1] + 1);
  });
}
