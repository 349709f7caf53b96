/** What upstreams have seen of each request: nothing may be lost, and nothing come twice. */
export interface Attempt {
  readonly upstream: string;
  /** A copy for a mirror. */
  readonly isShadow: boolean;
}

export class Records {
  readonly #attempts = new Map<number, Attempt[]>();
  /** What is over, for a while: to tell of it if it comes again. */
  readonly #over = new Map<number, unknown>();
  /** Requests that came and that nobody waits for. */
  readonly strangers: { readonly what: string; readonly details: unknown }[] = [];
  /** Requests that upstreams are at. */
  active = 0;

  open(id: number): void {
    this.#attempts.set(id, []);
  }

  note(id: number, attempt: Attempt): void {
    const attempts = this.#attempts.get(id);
    if (attempts !== undefined) attempts.push(attempt);
    else if (this.strangers.length < 100) {
      const what = `request ${id} came to ${attempt.upstream} after its end`;
      this.strangers.push({ what, details: { attempt, ...(this.#over.get(id) ?? {}) } });
    }
  }

  attempts(id: number): readonly Attempt[] {
    return this.#attempts.get(id) ?? [];
  }

  /** Nothing more is to come of it. */
  close(id: number, details: object): void {
    this.#over.set(id, { ...details, attempts: this.attempts(id) });
    this.#over.delete(id - 2000);
    this.#attempts.delete(id);
  }
}
