/** What was started and has to be ended: the last first. */
export class Closers {
  readonly #closers: (() => unknown)[] = [];

  push(close: () => unknown): void {
    this.#closers.push(close);
  }

  /** Ends everything once; one that fails does not keep the others from ending, and is thrown at the end. */
  async close(): Promise<void> {
    let problem: unknown;
    for (const close of this.#closers.splice(0).reverse()) {
      try {
        await close();
      } catch (cause: unknown) {
        problem ??= cause;
      }
    }
    if (problem !== undefined) throw problem;
  }
}
