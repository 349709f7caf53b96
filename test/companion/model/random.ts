/** Numbers that look random and are the same for the same seed, so that a run can be repeated. */
export interface Random {
  /** A whole number from 0 up to, not including, `limit`. */
  below(limit: number): number;
  /** True `percent` times out of a hundred. */
  chance(percent: number): boolean;
  /** Throws where there is nothing to choose from. */
  pick<Value>(values: readonly Value[]): Value;
  /** Up to `count` of the values, each at most once, in their order. */
  some<Value>(values: readonly Value[], count: number): readonly Value[];
}

/** The generator is mulberry32 (public domain, Tommy Ettinger), which has 32 bits of state. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    chance: (percent) => below(100) < percent,
    pick<Value>(values: readonly Value[]): Value {
      if (values.length === 0) throw new Error("there is nothing to choose from");
      return values[below(values.length)] as Value;
    },
    some(values, count) {
      const left = values.map((_value, index) => index);
      const chosen: number[] = [];
      while (chosen.length < count && left.length > 0) chosen.push(...left.splice(below(left.length), 1));
      return values.filter((_value, index) => chosen.includes(index));
    },
  };
}
