/** Which results must be made anew when an input changes: edges from results to the inputs that they read. */
export class DependencyTable {
  readonly #inputs = new Map<string, ReadonlySet<string>>();
  readonly #dependents = new Map<string, Set<string>>();

  /** States all inputs of a result, in place of the earlier ones; an empty set forgets the result. */
  replace(result: string, inputs: ReadonlySet<string>): void {
    const before = this.#inputs.get(result);
    for (const input of before ?? []) {
      if (inputs.has(input)) continue;
      const dependents = this.#dependents.get(input);
      dependents?.delete(result);
      if (dependents?.size === 0) this.#dependents.delete(input);
    }
    for (const input of inputs) {
      if (before?.has(input)) continue;
      const dependents = this.#dependents.get(input);
      if (dependents === undefined) this.#dependents.set(input, new Set([result]));
      else dependents.add(result);
    }
    if (inputs.size === 0) this.#inputs.delete(result);
    else this.#inputs.set(result, inputs);
  }

  listDependents(input: string): Iterable<string> {
    return this.#dependents.get(input) ?? [];
  }
}
