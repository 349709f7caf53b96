/** What shows over many requests alone: that the same words lead to the same host, and that weights are kept. */
import type { Expectation } from "./expectation.ts";
import type { Attempt } from "./records.ts";

/** Standard deviations within which a sum of choices lies: beyond is no chance (one in a thousand million). */
const mostDeviations = 6;

export class Patterns {
  readonly #hosts = new WeakMap<object, Map<string, string>>();
  #chosen = 0;
  #expected = 0;
  #variance = 0;
  #sticky = 0;

  /** What is wrong with a choice. Takes requests that met one configuration alone. */
  note(fitting: readonly Expectation[], attempts: readonly Attempt[]): string | undefined {
    const [only, ...others] = fitting;
    const main = attempts.filter(({ isShadow }) => !isShadow);
    const [first] = main;
    if (only?.kind !== "forwarded" || first === undefined) return undefined;
    const { share, sticky } = only.choice;
    // The first try alone is chosen by weight.
    if (share !== undefined) {
      this.#chosen += share.hosts.has(first.upstream) ? 1 : 0;
      this.#expected += share.value;
      this.#variance += share.value * (1 - share.value);
    }
    if (sticky === undefined || main.length > 1 || others.length > 0) return undefined;
    this.#sticky += 1;
    const hosts = this.#hosts.get(sticky.cluster) ?? new Map<string, string>();
    this.#hosts.set(sticky.cluster, hosts);
    const before = hosts.get(sticky.word);
    hosts.set(sticky.word, first.upstream);
    return before === undefined || before === first.upstream
      ? undefined
      : `the words ${sticky.word} led to ${before} before, and to ${first.upstream} now`;
  }

  /** What is wrong with all choices by weight together. */
  judge(): string | undefined {
    const distance = Math.abs(this.#chosen - this.#expected);
    if (distance <= mostDeviations * Math.sqrt(this.#variance) + 1) return undefined;
    return `${this.#chosen} requests went to the first of two weighted clusters, where ${this.#expected.toFixed(0)} were to`;
  }

  describe(): string {
    const [chosen, expected] = [this.#chosen, this.#expected.toFixed(0)];
    return `${chosen} to the first of two weighted clusters (${expected} expected), ${this.#sticky} by hash`;
  }
}
