/**
 * Clients that begin requests only to reset them (CVE-2023-44487), told by Envoy's rule and its runtime keys: a connection
 * is to end as soon as half of its first 500 requests, or of all later ones, were reset within a second without an answer.
 */
import type { Runtime } from "../../config/runtime.ts";

const totalKey = "overload.premature_reset_total_stream_count";
const lifetimeKey = "overload.premature_reset_min_stream_lifetime_seconds";
const defaults = { total: 500, lifetimeSeconds: 1 } as const;

export class PrematureResets {
  readonly #runtime: Pick<Runtime, "number">;
  #closed = 0;
  #premature = 0;

  constructor(runtime: Pick<Runtime, "number">) {
    this.#runtime = runtime;
  }

  /** Requests so far that were reset before they could come to anything. */
  get count(): number {
    return this.#premature;
  }

  /** A request that was answered, or reset by this side. */
  addOther(): void {
    this.#closed += 1;
  }

  /** One that the client has reset unanswered, `ageMs` after its beginning. True where that was one too many. */
  addReset(ageMs: number): boolean {
    this.#closed += 1;
    // As Envoy compares: whole seconds, so that only what lives longer than one more than the limit is beyond it.
    const seconds = Math.floor(ageMs / 1_000);
    if (seconds > this.#runtime.number(lifetimeKey, defaults.lifetimeSeconds)) return false;
    this.#premature += 1;
    const total = this.#runtime.number(totalKey, defaults.total);
    return this.#premature * 2 >= Math.max(total, this.#closed);
  }
}
