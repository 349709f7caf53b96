/** Those who want to know of changes. */
export class Changes {
  readonly #runs = new Set<() => void>();

  /** The answer ends it. */
  add(run: () => void): () => void {
    this.#runs.add(run);
    return () => void this.#runs.delete(run);
  }

  notify(): void {
    for (const run of [...this.#runs]) run();
  }
}
