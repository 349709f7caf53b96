/** Values for pairs of objects, for as long as both live. */
export class PairTable<First extends object, Second extends object, Value> {
  readonly #values = new WeakMap<First, WeakMap<Second, Value>>();

  get(first: First, second: Second): Value | undefined {
    return this.#values.get(first)?.get(second);
  }

  set(first: First, second: Second, value: Value): void {
    const ofFirst = this.#values.get(first) ?? new WeakMap<Second, Value>();
    this.#values.set(first, ofFirst);
    ofFirst.set(second, value);
  }
}

/** `build`, with its result kept for as long as both arguments live: in `results`, which may know some already. */
export function memoPair<First extends object, Second extends object, Value extends object>(
  build: (first: First, second: Second) => Value,
  results = new PairTable<First, Second, Value>(),
): (first: First, second: Second) => Value {
  return (first, second) => {
    const known = results.get(first, second);
    if (known !== undefined) return known;
    const value = build(first, second);
    results.set(first, second, value);
    return value;
  };
}
